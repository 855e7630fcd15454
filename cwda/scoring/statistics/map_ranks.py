"""Matrix ranks of the feature maps."""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.scoring.statistics.statistic import OfActivation, register_statistic

__all__ = ["MAP_RANKS"]


class _MapRanks(OfActivation[Tensor, Tensor]):
    name = "map_ranks"
    meaning = "matrix ranks of the activation's feature maps"

    def observe(self, activation: Tensor) -> Tensor:
        """The ranks summed over the images, float64, N'.

        A map is a matrix of its first axis by all others; singular values up to the largest one
        times max(matrix shape) times the machine epsilon count as 0, as in numpy. A map with
        values that are not finite has no rank: NaN.
        """
        deep = activation.ndim > 3
        shape = activation.shape[:2]
        maps = activation.flatten(3) if deep else activation.reshape(*shape, 1, -1)
        ranks = torch.zeros(shape, dtype=torch.float64, device=maps.device)
        finite = maps.isfinite().all(3).all(2)
        ranks[~finite] = torch.nan
        alive = (maps != 0).any(3).any(2) & finite
        if alive.any():
            ranks[alive] = torch.linalg.matrix_rank(maps[alive]).double()
        return ranks.sum(0)

    def finish(self, sums: Tensor, images: int) -> Tensor:
        """Mean rank over the images."""
        return sums / images


MAP_RANKS = register_statistic(_MapRanks())
