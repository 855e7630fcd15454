"""Distances between points that crowd together, where a common Gram matrix has lost them."""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.numerics.pairs.products import panel_height

__all__ = ["CANCELLED", "inner_products", "recompute"]

#: A squared distance below this share of the squared norms it is made of has lost four digits to
#: cancellation.
CANCELLED = 1e-4
# Number of coordinate differences held in memory at once.
_CHUNK = 1 << 22
# A crowd of so many points is worth a Gram matrix of its own ...
_CROWD = 5
# ... and crowds within crowds are looked for so many times, down to 1e-32 of the whole.
_ROUNDS = 16


def inner_products(rows: Tensor) -> Tensor:
    """Gram matrices of sets of points, (..., n, d) -> (..., n, n)."""
    n, d = rows.shape[-2:]
    height = panel_height(rows.device)
    if rows.numel() > n * d or n <= height:
        return rows @ rows.mT
    one, products = rows.reshape(n, d), rows.new_empty(n, n)
    for start in range(0, n, height):  # up to the diagonal; the rest is mirrored
        stop = min(start + height, n)
        products[start:stop, :stop] = one[start:stop] @ one[:stop].T
        products[:start, start:stop] = products[start:stop, :start].T
    return products.reshape(*rows.shape[:-2], n, n)


def recompute(points: Tensor, distances: Tensor, close: Tensor) -> None:
    """Overwrite the distances of the pairs marked in `close` by exact ones.

    Of points that crowd together one is made the origin. Differences from it are as small as the
    crowd and are rounded to nothing, so their Gram matrix holds all distances within the crowd but
    those of a still closer one, which is treated in the same way. The few pairs that are
    left are computed one by one.

    Parameters
    ----------
    points : Tensor
        float64, b x n x d: b sets of points.
    distances, close : Tensor
        b x n x n, both symmetric.
    """
    left = close.clone()
    left.diagonal(dim1=1, dim2=2).zero_()
    for _ in range(_ROUNDS):
        most, origin = left.sum(2).max(1)
        sets = (most >= _CROWD).nonzero().flatten()
        if not len(sets):
            break
        _recompute_crowd(points, distances, left, sets, origin[sets])
    _recompute_pairs(points, distances, left.triu_(1).nonzero())


def _recompute_crowd(
    points: Tensor, distances: Tensor, left: Tensor, sets: Tensor, origin: Tensor
) -> None:
    """The distances among the points that are close to one, the origin, in each of some sets."""
    crowded = left[sets, origin]
    crowded[torch.arange(len(sets), device=sets.device), origin] = True
    size = int(crowded.sum(1).max())
    # Where the crowd is smaller, other points fill up: their distances are no worse for it.
    members = crowded.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :size]
    batch, rows, columns = sets[:, None, None], members[:, :, None], members[:, None, :]
    about = points[sets[:, None], members] - points[sets, origin].unsqueeze(1)
    gram = inner_products(about)
    squares = gram.diagonal(dim1=1, dim2=2)
    sums = squares.unsqueeze(2) + squares.unsqueeze(1)
    squared = sums - 2 * gram
    marked = left[batch, rows, columns]
    # Both points at the origin are equal, and at distance 0 exactly.
    known = marked & ((squared > CANCELLED * sums) | (sums == 0))
    known = known & known.mT  # the products of a matrix with itself may differ in the last bit
    exact = (squared + squared.mT).div_(2).clamp_(min=0).sqrt_()
    distances[batch, rows, columns] = exact.where(known, distances[batch, rows, columns])
    left[batch, rows, columns] = marked & ~known


def _recompute_pairs(points: Tensor, distances: Tensor, pairs: Tensor) -> None:
    """One by one, the distances of pairs (set, i, j)."""
    size = max(1, _CHUNK // max(points.shape[2], 1))
    for start in range(0, len(pairs), size):
        batch, i, j = pairs[start : start + size].unbind(1)
        exact: Tensor = torch.linalg.vector_norm(points[batch, i] - points[batch, j], dim=1)
        distances[batch, i, j] = exact
        distances[batch, j, i] = exact
