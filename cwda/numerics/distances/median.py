"""The geometric median of points in high dimension, with the proof that it is.

If the median is one of the points it is the medoid, the point with the smallest sum of
distances. Vardi and Zhang's condition ||R|| <= eta decides that, R the sum of the unit vectors
from the medoid to the others and eta its multiplicity. If it fails, a descent starts below the
medoid's sum of distances: at the mean, or by Vardi and Zhang's step away from the medoid. As it
only descends, it never meets a point.

As the median is an affine combination of the points, a step of the descent costs O(n^2) on their
Gram matrix whatever d. That of the points about their mean has lost the distances within a crowd,
such as dead filters are. Where the medoid lies in a crowd it is therefore made the origin, and
where the proof fails nevertheless, the point that was found.

References
----------
Vardi and Zhang (2000), The multivariate L1-median and associated data depth, PNAS 97.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.distances.crowds import CANCELLED, inner_products
from cwda.numerics.distances.descent import descend

__all__ = ["GeometricMedian", "Medoid", "geometric_median"]

# A median with a longer subgradient of the mean distance is sought anew, about itself.
_STEEP = 1e-10
_ROUNDS = 3
# Smallest number that is divided by.
_TINY = 1e-300


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
        Number of steps of the longest descent.
    """

    weights: Tensor
    distances: Tensor
    subgradient: Tensor
    steps: int

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Medoid:
    """Of each of b sets of n points the one with the smallest sum of distances.

    Attributes
    ----------
    index : Tensor
        Its index, (b,).
    distances : Tensor
        Of the points from it, b x n.
    """

    index: Tensor
    distances: Tensor

    @classmethod
    def of(cls, distances: Tensor) -> Medoid:
        """By the distances between all points, b x n x n."""
        index = distances.sum(2).argmin(1)
        chosen = index[:, None, None].expand(-1, 1, distances.shape[2])
        return cls(index, distances.gather(1, chosen).squeeze(1))

    def chosen(self, sets: Tensor) -> Medoid:
        """Of some sets."""
        return Medoid(self.index[sets], self.distances[sets])


def geometric_median(
    points: Tensor, centred: Tensor, gram: Tensor, medoid: Medoid
) -> GeometricMedian:
    """The medians of b sets of n points.

    Parameters
    ----------
    points, centred : Tensor
        float64, b x n x d, as they are and about their mean.
    gram : Tensor
        Inner products of the centred points, b x n x n.
    medoid : Medoid
        Of each set.
    """
    squares = gram.diagonal(dim1=1, dim2=2)
    mean_is_lower = squares.clamp_min(0).sqrt().sum(1) < medoid.distances.sum(1)
    norms = squares + squares.gather(1, medoid.index[:, None])
    crowded = ((medoid.distances.square() <= CANCELLED * norms).sum(1) > 1).nonzero().flatten()
    if not len(crowded):
        median = _from_medoid(centred, gram, medoid, mean_is_lower)
    elif len(crowded) == len(points):
        median = _about_medoid(points, medoid, mean_is_lower)
    else:
        median = _from_medoid(centred, gram, medoid, mean_is_lower)
        better = _about_medoid(points[crowded], medoid.chosen(crowded), mean_is_lower[crowded])
        median = _with(median, crowded, better)
    for _ in range(_ROUNDS):
        steep = (median.subgradient > _STEEP).nonzero().flatten()
        if not len(steep):
            break
        median = _with(median, steep, _about_itself(points[steep], median.weights[steep]))
    return median


def _with(median: GeometricMedian, sets: Tensor, better: GeometricMedian) -> GeometricMedian:
    """The medians, of some sets the better ones of two."""
    better_there = better.subgradient < median.subgradient[sets]
    chosen, sets = better_there.nonzero().flatten(), sets[better_there]
    return GeometricMedian(
        median.weights.index_copy(0, sets, better.weights[chosen]),
        median.distances.index_copy(0, sets, better.distances[chosen]),
        median.subgradient.index_copy(0, sets, better.subgradient[chosen]),
        max(median.steps, better.steps),
    )


def _about_medoid(points: Tensor, medoid: Medoid, mean_is_lower: Tensor) -> GeometricMedian:
    chosen = medoid.index[:, None, None].expand(-1, 1, points.shape[2])
    about = points - points.gather(1, chosen)
    return _from_medoid(about, inner_products(about), medoid, mean_is_lower)


def _from_medoid(
    about: Tensor, gram: Tensor, medoid: Medoid, mean_is_lower: Tensor
) -> GeometricMedian:
    """The medoids, or by descent what lies lower, of points about any origin."""
    vertex = torch.zeros_like(medoid.distances).scatter_(1, medoid.index[:, None], 1.0)
    inverse = _inverse(medoid.distances)
    total = inverse.sum(1, keepdim=True)
    pull = _length(_combine(inverse - total * vertex, about))
    eta = (medoid.distances == 0).sum(1).to(pull)
    settled = pull <= eta
    stay = (eta / pull).clamp_max(1.0).unsqueeze(1)
    away = stay * vertex + (1 - stay) * inverse / total.clamp_min(_TINY)
    start = torch.where(mean_is_lower.unsqueeze(1), 1 / vertex.shape[1], away)
    weights, steps = descend(gram, start, settled)
    if not steps:
        return GeometricMedian(vertex, medoid.distances, torch.zeros_like(pull), 0)
    below = _measured(about, weights, steps)
    return GeometricMedian(
        torch.where(settled.unsqueeze(1), vertex, below.weights),
        torch.where(settled.unsqueeze(1), medoid.distances, below.distances),
        torch.where(settled, 0.0, below.subgradient),
        steps,
    )


def _about_itself(points: Tensor, weights: Tensor) -> GeometricMedian:
    """Better medians than those that were found, which become the origin."""
    about = points - _combine(weights, points).unsqueeze(1)
    settled = torch.zeros(len(points), dtype=torch.bool, device=points.device)
    return _measured(about, *descend(inner_products(about), weights, settled))


def _measured(about: Tensor, weights: Tensor, steps: int) -> GeometricMedian:
    """The points with these weights, their distances and proof, from coordinates."""
    away = about - _combine(weights, about).unsqueeze(1)
    radii = _length(away)
    pull = _length(_combine(_inverse(radii), away))
    slope = (pull - (radii == 0).sum(1)).clamp_min_(0) / radii.shape[1]
    return GeometricMedian(weights, radii, slope, steps)


def _combine(coefficients: Tensor, rows: Tensor) -> Tensor:
    """sum_j c_j row_j, (b, n) and (b, n, m) -> (b, m)."""
    return (coefficients.unsqueeze(1) @ rows).squeeze(1)


def _length(vectors: Tensor) -> Tensor:
    """Euclidean norms along the last axis."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


def _inverse(radii: Tensor) -> Tensor:
    """1 / radius, and 0 for a point at F itself, which pulls nowhere."""
    return torch.where(radii > 0, radii.reciprocal(), 0.0)
