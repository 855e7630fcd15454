"""Averages over the activation behind a convolution and its BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.scoring.statistics.statistic import OfActivation, register_statistic

__all__ = ["ACTIVATIONS", "Activations"]


@dataclass(frozen=True, eq=False)
class Activations:
    """The activation A behind BatchNorm, over all images and positions of each channel.

    Attributes
    ----------
    images : int
        Number of images.
    mean, mean_square : Tensor
        Mean of A and of A^2; float64, N'.
    zeros : Tensor
        Share of values that are exactly 0; float64, N'.
    image_means : Tensor
        Mean over the positions of each image; float64, images x N'.
    """

    images: int
    mean: Tensor
    mean_square: Tensor
    zeros: Tensor
    image_means: Tensor

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class _Part:
    """Sums over the images and positions of a part of the data, channel by channel."""

    positions: int
    total: Tensor
    squares: Tensor
    zeros: Tensor
    image_means: Tensor


class _OfActivation(OfActivation[list[_Part], Activations]):
    name = "activations"
    meaning = "averages over the activation behind BatchNorm"

    def observe(self, activation: Tensor) -> list[_Part]:
        """The sums, in float64."""
        values = activation.flatten(2) if activation.ndim > 2 else activation[:, :, None]
        sums = values.sum(2, dtype=torch.float64)
        norms = torch.linalg.vector_norm(values, dim=(0, 2), dtype=torch.float64)
        zeros = (values == 0).sum((0, 2))
        n = values.shape[2]
        return [_Part(len(values) * n, sums.sum(0), norms**2, zeros, sums / n)]

    def finish(self, sums: list[_Part], images: int) -> Activations:
        """The averages over all parts."""
        positions = sum(part.positions for part in sums)
        mean = torch.stack([part.total for part in sums]).sum(0) / positions
        zeros = torch.stack([part.zeros for part in sums]).sum(0).double() / positions
        return Activations(
            images,
            mean,
            torch.stack([part.squares for part in sums]).sum(0) / positions,
            torch.where(mean.isfinite(), zeros, torch.nan),  # NaN is not a value other than 0
            torch.cat([part.image_means for part in sums]),
        )


ACTIVATIONS = register_statistic(_OfActivation())
