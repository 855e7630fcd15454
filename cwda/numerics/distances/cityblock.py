"""Sums of city-block distances between points in high dimension."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cityblock_sums"]

# Numbers sorted at once: what bounds the memory.
_CHUNK = 1 << 21


def cityblock_sums(points: Tensor) -> Tensor:
    """sum_k ||f_k - f_j||_1 for each of n points, float64, (n, d) -> (n,).

    The distance adds up over coordinates, and in one coordinate the sum of |x_k - x_j| over k
    follows from the order of the x_k and their running sums. This takes O(d n log n) time in
    place of O(d n^2), and memory for a few million numbers whatever n and d. Equal points have
    equal sums to the last bit.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.distances.cityblock import cityblock_sums
    >>> cityblock_sums(torch.tensor([[0.0, 0], [3, 1], [0, 2]], dtype=torch.float64))
    tensor([6., 8., 6.], dtype=torch.float64)
    """
    n, d = points.shape
    sums = points.new_zeros(n)
    size = max(1, _CHUNK // max(n, 1))
    for start in range(0, d, size):
        part = points[:, start : start + size]
        sums += _by_coordinate((part - part[:1]).mT.contiguous()).mT.contiguous().sum(1)
    return sums


def _by_coordinate(values: Tensor) -> Tensor:
    """sum_k |x_k - x_j| in each row of values, (d, n) -> (d, n)."""
    n = values.shape[1]
    ordered = values.sort(dim=1).values
    running = ordered.cumsum(1)
    rank = torch.arange(1, n + 1, dtype=values.dtype, device=values.device)
    # Of the ordered x_i: i x_i minus the sum up to it, plus the sum behind it minus (n - i) x_i.
    sums = (2 * rank - n) * ordered - 2 * running + running[:, -1:]
    first = torch.searchsorted(ordered, values)  # of equal numbers the first, so that they tie
    return sums.gather(1, first)
