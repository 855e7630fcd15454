"""Checkpoints of one training run: effects against epoch."""

from __future__ import annotations

from cwda import figures
from cwda.reporting.blocks import Block, Paragraph
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture

__all__ = ["trajectory"]


def _blocks(report: Report) -> list[Block]:
    """How each condition moves while the network is trained."""
    subjects = report.all_subjects
    blocks: list[Block] = [
        Paragraph(
            f"{len(subjects)} checkpoints of one run. Thin lines are layers, coloured "
            "by depth, the bold line their median; the dashed line is the margin."
        ),
    ]
    tables = dict(zip(report.epochs, (subject.table for subject in subjects), strict=True))
    for name in subjects[0].conditions:
        blocks.append(
            picture(
                figures.trajectory(tables, name),
                f"{name.capitalize()}: effect against epoch.",
                f"Median effect of {name} over the layers at {len(tables)} epochs.",
            )
        )
    return blocks


trajectory = Chapter("Along the training", _blocks, when=lambda report: bool(report.epochs))
