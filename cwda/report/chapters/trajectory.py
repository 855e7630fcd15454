"""Checkpoints of one training run: effects against epoch."""

from __future__ import annotations

from collections.abc import Sequence

from cwda import figures
from cwda.report.blocks import Block, Heading, Paragraph
from cwda.report.pictures import picture
from cwda.report.subject import Subject

__all__ = ["trajectory"]


def trajectory(subjects: Sequence[Subject], epochs: Sequence[float]) -> list[Block]:
    """How each condition moves while the network is trained."""
    blocks: list[Block] = [
        Heading("Along the training"),
        Paragraph(
            f"{len(subjects)} checkpoints of one run. Lines are medians over the layers, "
            "bands hold the middle half of the layers; the dotted line is the margin."
        ),
    ]
    for name in subjects[0].conditions:
        blocks.append(
            picture(
                figures.trajectory([s.condition(name) for s in subjects], epochs, name),
                f"{name.capitalize()}: effect against epoch.",
                f"Median effect of {name} over the layers at {len(epochs)} epochs.",
            )
        )
    return blocks
