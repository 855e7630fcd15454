"""The loss when one filter is removed: the oracle that criteria approximate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.scoring.statistics.statistic import OfRemoval, register_statistic

__all__ = ["REMOVAL", "Removal"]


@dataclass(frozen=True, eq=False)
class Removal:
    """Increase of the cross-entropy of image i when filter j is removed.

    Attributes
    ----------
    images : int
        Number of images.
    mean : Tensor
        Mean over the images; float64, N'.
    error : Tensor
        Standard error of `mean`, the standard deviation over the images by the root of their
        number; float64, N'; NaN for a single image.
    of_images : Tensor
        The increases; float64, images x N'.
    """

    images: int
    mean: Tensor
    error: Tensor
    of_images: Tensor

    __repr__ = brief


class _OfRemoval(OfRemoval[list[Tensor], Removal]):
    name = "removal"
    meaning = "increase of each image's loss when one filter is removed"

    def observe(self, increases: Tensor) -> list[Tensor]:
        """All of them: images are then divided as one likes."""
        return [increases]

    def finish(self, sums: list[Tensor], images: int) -> Removal:
        """Means over the images, and how sure they are."""
        increases = torch.cat(sums)
        spread = increases.std(0) if images > 1 else torch.full_like(increases[0], torch.nan)
        return Removal(images, increases.mean(0), spread / math.sqrt(images), increases)


REMOVAL = register_statistic(_OfRemoval())
