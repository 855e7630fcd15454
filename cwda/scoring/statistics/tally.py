"""Sums over the images of a batch, and what becomes of them over all batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from cwda.layers import turn
from cwda.scoring.statistics.one_pass import Activations, Gradients, ImageGradients

__all__ = [
    "ActivationSums",
    "GradientTally",
    "as_rows",
    "average_activations",
    "image_gradient_sums",
    "rank_sums",
]

# Gradients of single images are held for at most this many weights at a time (256 MiB).
_WEIGHTS_AT_A_TIME = 2**26


@dataclass(frozen=True, eq=False)
class ActivationSums:
    """Sums over the images and positions of a part of the data, channel by channel."""

    positions: int
    total: Tensor
    squares: Tensor
    zeros: Tensor
    image_means: Tensor

    @classmethod
    def of(cls, activation: Tensor) -> ActivationSums:
        """The sums of images x channels x positions, in float64."""
        values = activation.detach().flatten(2) if activation.ndim > 2 else activation[:, :, None]
        sums = values.sum(2, dtype=torch.float64)
        norms = torch.linalg.vector_norm(values, dim=(0, 2), dtype=torch.float64)
        zeros = (values == 0).sum((0, 2))
        positions = values.shape[2]
        return cls(len(values) * positions, sums.sum(0), norms**2, zeros, sums / positions)


def average_activations(parts: Sequence[ActivationSums]) -> Activations:
    """The averages over all parts of the data."""
    positions = sum(part.positions for part in parts)
    image_means = torch.cat([part.image_means for part in parts])
    return Activations(
        len(image_means),
        _total([part.total for part in parts]) / positions,
        _total([part.squares for part in parts]) / positions,
        _total([part.zeros for part in parts]).double() / positions,
        image_means,
    )


def rank_sums(activation: Tensor) -> Tensor:
    """Ranks of the feature maps summed over the images, float64, one a channel.

    A map is a matrix of its first axis by all others; singular values up to the largest one
    times max(matrix shape) times the machine epsilon count as 0, as in numpy.
    """
    maps = activation.detach()
    maps = maps.flatten(3) if maps.ndim > 3 else maps.reshape(*maps.shape[:2], 1, -1)
    ranks = torch.zeros(maps.shape[:2], dtype=torch.float64, device=maps.device)
    alive = (maps != 0).any(3).any(2)
    if alive.any():
        ranks[alive] = torch.linalg.matrix_rank(maps[alive]).double()
    return ranks.sum(0)


def as_rows(gradient: Tensor, conv: _ConvNd) -> Tensor:
    """A gradient by the weight of a convolution as filters x d, float64."""
    turned = turn(gradient, conv.groups) if conv.transposed else gradient
    return turned.detach().flatten(1).double()


class GradientTally:
    """Adds up the gradients of one layer, batch by batch."""

    def __init__(self, conv: _ConvNd) -> None:
        self._weight = as_rows(conv.weight, conv)
        self._images = self._batches = 0
        self._sum = torch.zeros_like(self._weight)
        self._l1 = self._weight.new_zeros(len(self._weight))
        self._l2 = torch.zeros_like(self._l1)

    def add(self, rows: Tensor, images: int) -> None:
        """Count one batch in: the gradient of its summed loss, filters x d."""
        product = rows / images * self._weight
        self._images += images
        self._batches += 1
        self._sum += rows
        self._l1 += torch.linalg.vector_norm(product, ord=1, dim=1)
        self._l2 += torch.linalg.vector_norm(product, dim=1)

    def average(self) -> Gradients:
        """The averages over the batches."""
        n = self._batches
        return Gradients(n, self._sum / self._images, self._l1 / n, self._l2 / n)


def image_gradient_sums(conv: _ConvNd, inputs: Tensor, deltas: Tensor) -> ImageGradients:
    """Sums over images of what `ImageGradients` averages.

    `deltas` are the gradients of the images' losses by the output of the convolution.
    """
    weight = conv.weight.detach()

    def gradient(image: Tensor, delta: Tensor) -> Tensor:
        def convolve(values: Tensor) -> Tensor:
            output: Tensor = torch.func.functional_call(conv, {"weight": values}, (image[None],))
            return output

        pull_back = torch.func.vjp(convolve, weight)[1]
        found: Tensor = pull_back(delta[None])[0]
        return turn(found, conv.groups) if conv.transposed else found

    rows = as_rows(weight, conv)
    step = max(1, _WEIGHTS_AT_A_TIME // weight.numel())
    squares = torch.zeros_like(rows)
    l1, l2 = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    for x, delta in zip(inputs.split(step), deltas.split(step), strict=True):
        found = torch.func.vmap(gradient)(x, delta).flatten(2)
        products = found * rows.to(found)
        squares += torch.linalg.vector_norm(found, dim=0, dtype=torch.float64) ** 2
        l1 += torch.linalg.vector_norm(products, ord=1, dim=2, dtype=torch.float64).sum(0)
        l2 += torch.linalg.vector_norm(products, dim=2, dtype=torch.float64).sum(0)
    return ImageGradients(squares, l1, l2)


def _total(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).sum(0)
