"""Several networks side by side."""

from __future__ import annotations

from collections.abc import Sequence

from cwda.conditions.results import ConditionResult
from cwda.formatting import number
from cwda.reporting.blocks import Block, Column, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report

__all__ = ["side_by_side"]


def _blocks(report: Report) -> list[Block]:
    """For each network and condition, in how many layers it holds, and the median effect."""
    subjects = report.all_subjects
    conditions = list(dict.fromkeys(name for subject in subjects for name in subject.conditions))
    return [
        Paragraph(
            "For each condition the number of layers in which it holds, of those in which it is "
            "applicable, and the median effect."
        ),
        Table(
            [
                Column("network", "name"),
                Column("layers"),
                *(Column(name, "text") for name in conditions),
            ],
            [
                [
                    subject.network.name,
                    str(len(subject.network)),
                    *(_entry(subject.condition(name)) for name in conditions),
                ]
                for subject in subjects
            ],
            "Layers that hold, and median effect in brackets.",
        ),
    ]


side_by_side = Chapter(
    "Networks side by side", _blocks, when=lambda report: len(report.all_subjects) > 1
)


def _entry(rows: Sequence[ConditionResult]) -> str:
    import statistics

    judged = [row for row in rows if row.verdict != "not applicable"]
    if not judged:
        return "–"
    holds = sum(row.verdict == "holds" for row in judged)
    return f"{holds}/{len(judged)} ({number(statistics.median(row.effect for row in judged))})"
