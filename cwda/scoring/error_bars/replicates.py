"""Scores of one layer on parts of the images, from the pass that was made anyway."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.scoring.registry import Criterion
from cwda.scoring.scores import LayerScores, score_layer
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = ["NO_HALVES", "Replicates", "replicates"]

#: Why there are no replicates.
NO_HALVES = (
    "the images came in one batch, which has no halves; give more images or a smaller batch_size"
)


@dataclass(frozen=True, eq=False)
class Replicates:
    """Scores of the filters of a layer on several parts of the images; float64, on the CPU.

    Attributes
    ----------
    halves : Tensor
        Splits x 2 x criteria x filters: the two halves of several splits of the images.
    without : Tensor
        Parts x criteria x filters: all images but those of one part.
    factor : float
        How many times as many images as a half there are.
    """

    halves: Tensor
    without: Tensor
    factor: float

    __repr__ = brief

    def factor_of(self, criterion: Criterion) -> float:
        """By how many times the images its scores are stepped up: 1 if that is no use."""
        return 1.0 if criterion.unsteady else self.factor


def replicates(
    scored: LayerScores, criteria: Sequence[Criterion], collected: Collected, device: Device
) -> Replicates | None:
    """Score a layer anew on halves of the images, and on all but a part of them.

    Criteria that need no images keep their scores. None without parts of the images.
    """
    parts, name = collected.parts, scored.layer.name
    if not parts or name not in collected.layers:
        return None
    of_data = [i for i, criterion in enumerate(criteria) if criterion.needs_images]

    def values(chosen: Iterable[int]) -> Tensor:
        scores = scored.values.cpu().clone()
        if of_data:
            statistics = collected.layer_of_parts(name, chosen)
            again = score_layer(scored.layer, [criteria[i] for i in of_data], device, statistics)
            scores[of_data] = again.values.cpu()
        return scores

    halves = torch.stack(
        [torch.stack([values(side) for side in sides]) for sides in collected.splits]
    )
    every = range(len(parts))
    # Of two parts each is what the other leaves out.
    without = torch.stack([values([i for i in every if i != part]) for part in every])
    return Replicates(halves, without, _factor(collected))


def _factor(collected: Collected) -> float:
    """All images over those of a half; for halves of different sizes their geometric mean."""
    sizes = [
        [sum(collected.parts[i].images for i in side) for side in sides]
        for sides in collected.splits
    ]
    half = sum(math.sqrt(first * second) for first, second in sizes) / len(sizes)
    return collected.images / half
