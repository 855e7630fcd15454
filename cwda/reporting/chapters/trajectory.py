"""Checkpoints of one training run: effects against epoch."""

from __future__ import annotations

from collections.abc import Sequence

from cwda import figures
from cwda.reporting.blocks import Block, Heading, Paragraph
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject

__all__ = ["trajectory"]


def trajectory(subjects: Sequence[Subject], epochs: Sequence[float]) -> list[Block]:
    """How each condition moves while the network is trained."""
    blocks: list[Block] = [
        Heading("Along the training"),
        Paragraph(
            f"{len(subjects)} checkpoints of one run. Thin lines are layers, coloured "
            "by depth, the bold line their median; the dashed line is the margin."
        ),
    ]
    tables = dict(zip(epochs, (subject.table for subject in subjects), strict=True))
    for name in subjects[0].conditions:
        blocks.append(
            picture(
                figures.trajectory(tables, name),
                f"{name.capitalize()}: effect against epoch.",
                f"Median effect of {name} over the layers at {len(epochs)} epochs.",
            )
        )
    return blocks
