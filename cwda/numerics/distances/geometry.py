"""Distances between points in high dimension, and their geometric median.

Everything rests on the Gram matrix of the *centred* points: an uncentred one loses the
distances to cancellation where the common mean dominates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.distances.crowds import CANCELLED, inner_products, recompute
from cwda.numerics.distances.median import GeometricMedian, Medoid, geometric_median

__all__ = ["GeometricMedian", "Geometry"]


@dataclass(frozen=True, eq=False)
class Geometry:
    """A set of points, and what follows from its Gram matrix, computed once when asked for.

    Parameters
    ----------
    points : Tensor
        float64, shape (..., n, d): n points, or a batch of such sets.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.distances.geometry import Geometry
    >>> rhombus = torch.tensor([[4.0, 7], [2, 7], [3, 9], [3, 5]], dtype=torch.float64)
    >>> Geometry(rhombus).distances[0]
    tensor([0.0000, 2.0000, 2.2361, 2.2361], dtype=torch.float64)
    >>> Geometry(rhombus).median.distances
    tensor([1., 1., 2., 2.], dtype=torch.float64)
    """

    points: Tensor

    __repr__ = brief

    @cached_property
    def centred(self) -> Tensor:
        """The points about their mean, (..., n, d)."""
        return self.points - self.points.mean(-2, keepdim=True)

    @cached_property
    def gram(self) -> Tensor:
        """Inner products of the centred points, (..., n, n)."""
        return inner_products(self.centred)

    @cached_property
    def distances(self) -> Tensor:
        """Euclidean distances between all points, (..., n, n).

        ||f_i - f_j||^2 = G_ii + G_jj - 2 G_ij, and where that cancels (nearly equal points)
        from the differences themselves. Equal points are at distance 0 exactly and have
        equal rows to the last bit.
        """
        return self._distances_and_first[0]

    @cached_property
    def median(self) -> GeometricMedian:
        """The geometric median, or Fermat point, of the points.

        Equal points are equally far from it to the last bit. The median of an even number of
        points on one line is not unique; a point is returned. See
        `cwda.numerics.distances.median`.
        """
        n, d = self.points.shape[-2:]
        distances, first = self._distances_and_first
        found = geometric_median(
            self.points.reshape(-1, n, d),
            self.centred.reshape(-1, n, d),
            self.gram.reshape(-1, n, n),
            Medoid.of(distances.reshape(-1, n, n)),
        )
        batch = self.points.shape[:-2]
        radii = found.distances.reshape(*batch, n)
        return GeometricMedian(
            found.weights.reshape(*batch, n),
            radii if first is None else radii.gather(-1, first),
            found.subgradient.reshape(batch),
            found.steps,
        )

    @cached_property
    def _distances_and_first(self) -> tuple[Tensor, Tensor | None]:
        """The distances, and of the points equal to each the first; None where all differ."""
        squares = self.gram.diagonal(dim1=-2, dim2=-1)
        sums = squares.unsqueeze(-1) + squares.unsqueeze(-2)
        squared = torch.sub(sums, self.gram, alpha=2)
        close = squared <= sums.mul_(CANCELLED)
        close.diagonal(dim1=-2, dim2=-1).zero_()
        distances = squared.clamp_min_(0).sqrt_()
        distances.diagonal(dim1=-2, dim2=-1).zero_()
        if not close.any():
            return distances, None
        n, d = self.points.shape[-2:]
        close = close | close.mT  # rounding may differ between the two halves
        recompute(self.points.reshape(-1, n, d), distances.view(-1, n, n), close.view(-1, n, n))
        first = (distances == 0).to(torch.uint8).argmax(-1)
        rows = distances.gather(-2, first.unsqueeze(-1).expand_as(distances))
        return rows.gather(-1, first.unsqueeze(-2).expand_as(distances)), first
