"""Checkpoints of one training run: effects against epoch."""

from __future__ import annotations

from cwda import figures
from cwda.callbacks.trajectory import Course, Trajectory, recorded
from cwda.formatting import many, number
from cwda.reporting.blocks import Block, Cell, Column, Paragraph, Strong, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture

__all__ = ["trajectory"]


def _blocks(report: Report) -> list[Block]:
    """When conditions began to hold or to fail in the network, then how its layers moved."""
    subjects = report.all_subjects
    pairs = sorted(zip(report.epochs, subjects, strict=True), key=lambda pair: pair[0])
    rows = [row for epoch, subject in pairs for row in recorded(epoch, subject.whole)]
    along = Trajectory(tuple(rows), (), level=subjects[0].level)
    checkpoints = many(len(subjects), "checkpoint")
    blocks: list[Block] = [
        Paragraph(Strong(along.title())),
        _courses(along),
        picture(
            figures.trajectory(along),
            "Effect in the network over the margin, by epoch; below the dashed line an estimate "
            "lies within its margin.",
            f"Effects of {many(len(along.conditions), 'condition')} over their margins at "
            f"{checkpoints}.",
        ),
        Paragraph(
            "For each condition follow its effect in the network with the interval, then its "
            "layers: thin lines, coloured by depth, and their median in bold. The dashed line is "
            "the margin."
        ),
    ]
    tables = {epoch: subject.table for epoch, subject in pairs}
    for name in along.conditions:
        blocks += [
            picture(
                figures.trajectory(along, name),
                f"{name.capitalize()} in the network, by epoch.",
                f"Effect of {name} in the network at {checkpoints}.",
            ),
            picture(
                figures.layer_trajectory(tables, name),
                f"{name.capitalize()} in the layers, by epoch.",
                f"Effect of {name} in each layer at {checkpoints}.",
            ),
        ]
    return blocks


trajectory = Chapter("Along the training", _blocks, when=lambda report: bool(report.epochs))


def _courses(along: Trajectory) -> Table:
    first, last = along.epochs[0], along.epochs[-1]
    return Table(
        [
            Column("condition", "text"),
            Column(f"epoch {first:g}"),
            Column(f"epoch {last:g}"),
            Column("margin"),
            Column("verdict", "text"),
            Column("course", "text"),
        ],
        [_cells(one) for one in along.courses()],
        "Effect in the network at the first and at the last epoch; verdict at the last; the "
        "verdicts in order, of which one at a single epoch may be noise.",
    )


def _cells(one: Course) -> list[str | Cell]:
    return [
        one.condition,
        number(one.first_effect),
        number(one.last_effect),
        number(one.margin),
        Cell.of_verdict(one.verdict),
        one.course,
    ]
