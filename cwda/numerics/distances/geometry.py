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
from cwda.numerics.distances.median_refinement import refined_weights

__all__ = ["GeometricMedian", "Geometry"]

# A squared distance below this share of the squared norms it is made of has lost four
# digits to cancellation, and is computed anew from the points.
_CANCELLED = 1e-4
# Number of coordinate differences held in memory at once when distances are computed anew.
_CHUNK = 1 << 22
# Smallest number that is divided by.
_TINY = 1e-300
# Weiszfeld's iteration ends when a step is shorter than this times the median distance ...
_TOLERANCE = 1e-12
# ... or after so many steps, which only near-degenerate configurations need.
_MAX_STEPS = 10_000
# A median with a longer subgradient of the mean distance is refined.
_STEEP = 1e-10


@dataclass(frozen=True, eq=False)
class GeometricMedian:
    """The point F that minimises sum_j ||F - f_j||, with the proof that it does.

    Attributes
    ----------
    weights : Tensor
        F as an affine combination of the points, F = sum_j w_j f_j; shape (..., n).
    distances : Tensor
        ||F - f_j||, shape (..., n).
    subgradient : Tensor
        Norm of the smallest subgradient of the mean distance at F, between 0 (the minimum)
        and 1; shape (...). By convexity the mean distance at F exceeds the minimum by at most
        `subgradient` times the distance of F from the median.
    steps : int
        Number of Weiszfeld steps taken.
    """

    weights: Tensor
    distances: Tensor
    subgradient: Tensor
    steps: int

    __repr__ = brief


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
        return self.centred @ self.centred.mT

    @cached_property
    def distances(self) -> Tensor:
        """Euclidean distances between all points, (..., n, n).

        ||f_i - f_j||^2 = G_ii + G_jj - 2 G_ij, and where that cancels (nearly equal points)
        from the differences themselves. Equal points are at distance 0 exactly and have
        equal rows to the last bit.
        """
        squares = self._squares
        sums = squares.unsqueeze(-1) + squares.unsqueeze(-2)
        squared = sums - 2 * self.gram
        distances = squared.clamp_min(0).sqrt()
        distances.diagonal(dim1=-2, dim2=-1).zero_()
        close = (squared <= _CANCELLED * sums).triu(1)
        if not close.any():
            return distances
        _recompute(distances, self.points, close)
        return _tie_duplicates(distances)

    @cached_property
    def median(self) -> GeometricMedian:
        r"""The geometric median, or Fermat point, of the points.

        Weiszfeld's iteration F <- sum_j w_j f_j with w_j proportional to 1 / ||F - f_j||, until
        a step is shorter than 1e-12 times the median distance. As F is an affine combination
        of the points, a step costs O(n^2) on the Gram matrix whatever d.

        If the median is one of the points it is the medoid, the point with the smallest sum
        of distances. Vardi and Zhang's condition ||R|| <= eta decides that, R the sum of
        the unit vectors from the medoid to the others and eta its multiplicity. If it fails, the
        iteration starts below the medoid's sum of distances: at the mean, or by Vardi and
        Zhang's step away from the medoid. As it only descends, it never meets a point.
        Where most points crowd together, as dead filters do, the Gram matrix cancels; the median
        is then refined in coordinates (`cwda.numerics.distances.median_refinement`).

        Notes
        -----
        The median of an even number of points on one line is not unique; a point is returned.

        References
        ----------
        Vardi and Zhang (2000), The multivariate L1-median and associated data depth, PNAS 97.
        """
        lowest, medoid = self.distances.sum(-1).min(-1)
        at_medoid = _row(self.distances, medoid)
        vertex = torch.zeros_like(at_medoid).scatter(-1, medoid.unsqueeze(-1), 1.0)
        pull, eta = self._pull(at_medoid, vertex), _multiplicity(at_medoid)
        settled = pull <= eta

        start = self._start(lowest, at_medoid, vertex, (eta / pull).clamp_max(1.0))
        weights, steps = self._weiszfeld(start, settled)
        weights = torch.where(settled.unsqueeze(-1), vertex, weights)
        radii = torch.where(settled.unsqueeze(-1), at_medoid, self._distances_to(weights))
        slope = self._slope(radii, weights)
        if (slope > _STEEP).any():
            weights = self._refined(weights, slope > _STEEP)
            radii = torch.where(settled.unsqueeze(-1), at_medoid, self._distances_to(weights))
            slope = self._slope(radii, weights)
        return GeometricMedian(weights, radii, slope, steps)

    def _slope(self, radii: Tensor, weights: Tensor) -> Tensor:
        """Norm of the smallest subgradient of the mean distance."""
        steep = (self._pull(radii, weights) - _multiplicity(radii)).clamp_min(0)
        return steep / radii.shape[-1]

    def _refined(self, weights: Tensor, steep: Tensor) -> Tensor:
        """Better weights for the sets in which cancellation stopped the iteration."""
        n, d = self.points.shape[-2:]
        refined = weights.reshape(-1, n).clone()
        for one in steep.reshape(-1).nonzero().flatten().tolist():
            refined[one] = refined_weights(self.centred.reshape(-1, n, d)[one], refined[one])
        return refined.reshape(weights.shape)

    @property
    def _squares(self) -> Tensor:
        return self.gram.diagonal(dim1=-2, dim2=-1)

    def _pull(self, radii: Tensor, weights: Tensor) -> Tensor:
        """||R|| at F = sum_j w_j f_j: R sums the unit vectors from F to the other points."""
        inverse = _inverse(radii)
        coefficients = inverse - inverse.sum(-1, keepdim=True) * weights
        return _length(_combine(coefficients, self.centred))

    def _start(self, lowest: Tensor, at_medoid: Tensor, vertex: Tensor, stay: Tensor) -> Tensor:
        """Weights of the mean, or where the medoid lies lower, of the step away from it."""
        inverse = _inverse(at_medoid)
        step = inverse / inverse.sum(-1, keepdim=True).clamp_min(_TINY)
        away = stay.unsqueeze(-1) * vertex + (1 - stay.unsqueeze(-1)) * step
        mean_is_lower = self._squares.clamp_min(0).sqrt().sum(-1) < lowest
        return torch.where(mean_is_lower.unsqueeze(-1), 1 / vertex.shape[-1], away)

    def _weiszfeld(self, weights: Tensor, settled: Tensor) -> tuple[Tensor, int]:
        """The weights after the iteration and its number of steps."""
        products = _combine(weights, self.gram)
        for steps in range(_MAX_STEPS):
            if bool(settled.all()):
                return weights, steps
            radii = self._squared_radii(weights, products).clamp_min(_TINY).sqrt()
            inverse = radii.reciprocal()
            new_weights = inverse / inverse.sum(-1, keepdim=True)
            new_products = _combine(new_weights, self.gram)
            moved = ((new_weights - weights) * (new_products - products)).sum(-1)
            length = moved.clamp_min(0).sqrt()
            settled = settled | (length <= _TOLERANCE * radii.median(-1).values)
            weights, products = new_weights, new_products
        return weights, _MAX_STEPS

    def _squared_radii(self, weights: Tensor, products: Tensor) -> Tensor:
        """||F - f_j||^2 at F = sum_j w_j f_j, `products` = G w."""
        return self._squares - 2 * products + (weights * products).sum(-1, keepdim=True)

    def _distances_to(self, weights: Tensor) -> Tensor:
        """||F - f_j||, from the points themselves where the Gram matrix cancels."""
        products = _combine(weights, self.gram)
        squared = self._squared_radii(weights, products)
        centre = (weights * products).sum(-1, keepdim=True)
        close = squared <= _CANCELLED * (self._squares + centre)
        radii = squared.clamp_min(0).sqrt()
        if close.any():
            point = _combine(weights, self.centred)
            index = close.nonzero(as_tuple=True)
            radii[index] = _length(self.centred[index] - point[index[:-1]])
        return radii


def _combine(coefficients: Tensor, rows: Tensor) -> Tensor:
    """sum_j c_j row_j, (..., n) and (..., n, m) -> (..., m)."""
    return (coefficients.unsqueeze(-2) @ rows).squeeze(-2)


def _length(vectors: Tensor) -> Tensor:
    """Euclidean norms along the last axis."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


def _row(matrix: Tensor, index: Tensor) -> Tensor:
    """Row `index` of each matrix of a batch: (..., n, m) and (...) -> (..., m)."""
    chosen = index[..., None, None].expand(*index.shape, 1, matrix.shape[-1])
    return matrix.gather(-2, chosen).squeeze(-2)


def _inverse(radii: Tensor) -> Tensor:
    """1 / radius, and 0 for a point at F itself, which pulls nowhere."""
    return torch.where(radii > 0, radii.reciprocal(), 0.0)


def _multiplicity(radii: Tensor) -> Tensor:
    """Number of points at distance 0."""
    return (radii == 0).sum(-1).to(radii.dtype)


def _recompute(distances: Tensor, points: Tensor, close: Tensor) -> None:
    """Overwrite the distances of the pairs marked in `close` by exact ones."""
    n, d = points.shape[-2:]
    points, flat = points.reshape(-1, n, d), distances.view(-1, n, n)
    pairs = close.view(-1, n, n).nonzero()
    size = max(1, _CHUNK // d)
    for start in range(0, len(pairs), size):
        batch, i, j = pairs[start : start + size].unbind(1)
        exact = _length(points[batch, i] - points[batch, j])
        flat[batch, i, j] = exact
        flat[batch, j, i] = exact


def _tie_duplicates(distances: Tensor) -> Tensor:
    """Give equal points equal rows to the last bit, so that their scores tie."""
    first = (distances == 0).to(torch.uint8).argmax(-1)
    rows = distances.gather(-2, first.unsqueeze(-1).expand_as(distances))
    return rows.gather(-1, first.unsqueeze(-2).expand_as(distances))
