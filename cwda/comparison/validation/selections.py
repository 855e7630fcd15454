"""What it costs to remove the filters that a criterion ranks lowest, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cwda.models.batches import Batch
from cwda.numerics.device import Placement
from cwda.numerics.ranking.overlap import lowest_count
from cwda.numerics.ranking.ranks import ascending
from cwda.progress import steps
from cwda.scoring.removal.increases import loss_increases
from cwda.typing import Device

__all__ = [
    "RANDOM_SELECTIONS",
    "SelectionRegret",
    "increases_of_selections",
    "selection_regret",
    "selections",
]

#: Random selections for each half of the images.
RANDOM_SELECTIONS = 10
_BOOTSTRAPS = 400

Array = npt.NDArray[np.float64]


def selections(scores: Tensor, ratio: float, generator: np.random.Generator) -> Tensor:
    """The filters that each row of scores ranks lowest, then random ones: bool, sets x n.

    Empty where the ratio means none of the filters, or all.
    """
    n = scores.shape[1]
    count = lowest_count(n, ratio)
    if not 0 < count < n:
        return torch.zeros(0, n, dtype=torch.bool)
    drawn = torch.from_numpy(generator.random((RANDOM_SELECTIONS, n)))
    lowest = ascending(torch.cat([scores.nan_to_num(0.0), drawn]))[:, :count]
    return torch.zeros(len(lowest), n, dtype=torch.bool).scatter_(1, lowest, True)


def increases_of_selections(
    model: nn.Module,
    sets: Sequence[Mapping[str, Tensor]],
    halves: Sequence[Sequence[Batch]],
    device: Device,
) -> dict[str, Array]:
    """By layer, the increases of the loss of each image: images x sets, both halves in turn.

    The sets that were chosen on one half of the images are removed on the other.
    """
    parts: dict[str, list[Array]] = {}
    placement = Placement(device, "the loss without selections")
    for chosen, batches in zip(sets, reversed(halves), strict=True):
        found = placement.run(
            lambda place, chosen=chosen, batches=batches: loss_increases(  # type: ignore[misc]
                model, chosen, steps(batches, "removing selections"), place
            )
        )
        for layer, increases in found.of_layers.items():
            parts.setdefault(layer, []).append(increases.numpy())
    return {layer: np.concatenate(both) for layer, both in parts.items()}


@dataclass(frozen=True)
class SelectionRegret:
    """Mean increases of the loss, and where a criterion's lies between the oracle's and random."""

    increase: float
    oracle: float
    random: float
    value: float
    low: float
    high: float


def selection_regret(
    chosen: Array, oracle: Array, random: Array, level: float, generator: np.random.Generator
) -> SelectionRegret:
    """The regret of a selection, from the increases of each image.

    (chosen - oracle) / (random - oracle), each a mean over the images; NaN where random
    selections cost no more than the oracle's. The interval has the quantiles of 400 samples of
    images with replacement.

    Parameters
    ----------
    chosen, oracle, random : array
        (images,)
    level : float
        Confidence level.
    generator : Generator
        Draws the samples.
    """
    values = np.stack([chosen, oracle, random])
    n = values.shape[1]
    means = values.mean(1)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=_BOOTSTRAPS) / n
    drawn = weights @ values.T
    gaps = drawn[:, 2] - drawn[:, 1]
    low, high = np.nan, np.nan
    if (gaps > 0).all():
        tails = (1 - level) / 2, (1 + level) / 2
        low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / gaps, tails)
    gap = means[2] - means[1]
    value = (means[0] - means[1]) / gap if gap > 0 else np.nan
    return SelectionRegret(*(float(x) for x in (*means, value, low, high)))
