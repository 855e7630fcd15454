"""One chapter per condition: question, estimator, figure, findings, table of all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cwda import figures
from cwda.conditions.condition import Condition, Figure
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult
from cwda.figures.drawing.canvas import panels
from cwda.formatting import many, number, p_value
from cwda.reporting.blocks import (
    Block,
    Cell,
    Column,
    Equation,
    Note,
    Paragraph,
    Run,
    Table,
    names,
)
from cwda.reporting.chapter import Chapter, ChapterSeries, Report
from cwda.reporting.pictures import picture
from cwda.reporting.ranking import untested, worst
from cwda.reporting.subject import Subject

__all__ = ["conditions"]

#: Layers named as the worst, at most.
MOST_NAMED = 5
#: Layers of which the condition's own figure is drawn.
PANELS = 4


def _chapters(report: Report) -> Iterator[Chapter]:
    """For each: what is asked, how the effect is estimated and read, and its size in each layer."""
    for name in report.conditions:
        about = CONDITIONS[name]
        yield Chapter(about.words.title, partial(_blocks, about))


conditions = ChapterSeries("The conditions, one chapter each", _chapters)


def _blocks(about: Condition, report: Report) -> list[Block]:
    words, equation = about.words, about.equation
    margin = next(row.margin for one in report.subjects for row in one.condition(about.name))
    return [
        Paragraph(words.asks),
        *([Equation(equation.typst, equation.spoken)] if equation else []),
        Paragraph(words.estimator),
        Note(f"{words.reading} The margin here is {number(margin)}.".strip()),
        *report.sections(lambda subject: _findings(about, subject)),
    ]


def _findings(about: Condition, subject: Subject) -> list[Block]:
    name, rows = about.name, subject.condition(about.name)
    blocks: list[Block] = [_worst(rows)]
    if any(row.verdict != "not applicable" for row in rows):
        blocks.append(
            picture(
                figures.effects(subject.table, name),
                f"{name.capitalize()} of {subject.network.name}: effect with interval in each "
                "layer; the line is the margin.",
                f"Effects of {len(rows)} layers, from the first layer to the last; "
                f"{sum(row.verdict == 'holds' for row in rows)} hold.",
            )
        )
    if about.figure and subject.has_weights:
        blocks += _pictures(about.figure, subject, rows)
    return [*blocks, _table(name, rows)]


def _worst(rows: Sequence[ConditionResult]) -> Paragraph:
    failing = [row for row in worst(rows) if row.verdict == "fails"]
    reasons = untested(rows)
    text: list[Run] = []
    if failing:
        first = ", worst first: " if len(failing) > 1 else ": "
        text += ["The condition fails in ", many(len(failing), "layer"), first]
        text += names([row.layer for row in failing], MOST_NAMED)
        text.append(". ")
    elif any(row.verdict != "not applicable" for row in rows):
        text.append("The condition fails in no layer. ")
    text += [f"Not applicable in {reason}. " for reason in reasons]
    return Paragraph(text)


def _pictures(figure: Figure, subject: Subject, rows: Sequence[ConditionResult]) -> list[Block]:
    shown = worst(rows)[:PANELS]
    if not shown:
        return []
    layers = ", ".join(f"{row.layer} (effect {number(row.effect)})" for row in shown)
    axes = panels(len(shown), height=62)
    for row, ax in zip(shown, axes, strict=True):
        getattr(figures, figure.name)(subject.judged(row.layer), ax=ax)
    return [
        picture(
            axes,
            figure.caption,
            f"{figure.kind} of {layers}.",
        )
    ]


def _table(name: str, rows: Sequence[ConditionResult]) -> Table:
    return Table(
        [
            Column("layer", "name"),
            Column("N'"),
            Column("d"),
            Column("effect"),
            Column("low"),
            Column("high"),
            Column("p"),
            Column("p Holm"),
            Column("verdict", "text"),
        ],
        [
            [
                row.layer,
                str(row.n_filters),
                str(row.dim),
                number(row.effect),
                number(row.effect_low),
                number(row.effect_high),
                p_value(row.pvalue),
                p_value(row.pvalue_holm),
                Cell.of_verdict(row.verdict),
            ]
            for row in rows
        ],
        f"{name.capitalize()}: effect with its interval, p-value of the exact hypothesis "
        f"({rows[0].null_hypothesis}), the same adjusted over the layers, and verdict.",
    )
