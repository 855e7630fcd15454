"""What the shape of filters is measured by, from one pass over their directions.

Channels are taken in parts that stay in a processor's cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief

__all__ = ["UnitSums", "filter_norms", "unit_sums"]

#: Doubles in one part (1 MiB); on a GPU every call costs.
NUMBERS, NUMBERS_ELSEWHERE = 1 << 17, 1 << 24


@dataclass(frozen=True)
class UnitSums:
    """Sums over n filters f of N channels and k^2 positions, each of root mean square 1.

    Attributes
    ----------
    l1 : Tensor
        sum |f_i|, (n,).
    channel_energy, position_energy : Tensor
        Sums of squares, n x N and n x k^2.
    products : Tensor
        sum_i z_i z_i' of each channel, N x k^2 x k^2, with z = f - mean(f).
    block_squares, weight_squares : Tensor
        Sums over the filters of |z_ib|^4 over the channels, and of z^4 over all weights.
    """

    l1: Tensor
    channel_energy: Tensor
    position_energy: Tensor
    products: Tensor
    block_squares: Tensor
    weight_squares: Tensor

    __repr__ = brief


def filter_norms(filters: Tensor) -> Tensor:
    """l2 of each filter, n x d, summed in float64, (n,).

    Examples
    --------
    >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist()
    [5.0, 2.0]
    """
    rows = filters.split(max(1, _numbers(filters) // filters.shape[1]))
    return torch.cat([torch.linalg.vector_norm(part.double(), dim=1) for part in rows])


def unit_sums(filters: Tensor, norms: Tensor) -> UnitSums:
    """The sums over filters, divided by their root mean square.

    Parameters
    ----------
    filters : Tensor
        n x N x k^2, any floating dtype.
    norms : Tensor
        l2 of each, float64, (n,); none is zero.

    Examples
    --------
    >>> filters = torch.randn(64, 4, 9, generator=torch.Generator().manual_seed(0))
    >>> found = unit_sums(filters, filter_norms(filters.flatten(1)))
    >>> round(float(found.channel_energy[0].sum()), 9)
    36.0
    """
    n, channels, positions = filters.shape
    factor = (math.sqrt(channels * positions) / norms)[:, None, None]
    l1, by_position = norms.new_zeros(n), norms.new_zeros(n, positions)
    block_squares, weight_squares = norms.new_zeros(()), norms.new_zeros(())
    by_channel, products = [], []
    ones = norms.new_ones(positions)
    for part in filters.split(max(1, _numbers(filters) // (n * positions)), dim=1):
        z = part.to(torch.float64, copy=True)
        z *= factor
        l1 += z.abs().sum(dim=(1, 2))
        squares = z.square()
        by_channel.append(squares @ ones)
        by_position += squares.sum(dim=1)
        z -= z.mean(dim=0)
        columns = z.permute(1, 2, 0)
        products.append(columns @ columns.mT)
        torch.mul(z, z, out=squares)
        block_squares += (squares @ ones).square().sum()
        weight_squares += squares.square_().sum()
    return UnitSums(
        l1, torch.cat(by_channel, dim=1), by_position, torch.cat(products),
        block_squares, weight_squares,
    )  # fmt: skip


def _numbers(filters: Tensor) -> int:
    return NUMBERS if filters.device.type == "cpu" else NUMBERS_ELSEWHERE
