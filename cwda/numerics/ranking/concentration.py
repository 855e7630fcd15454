"""How equal in norm, equidistant and orthogonal a set of points is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.numerics.distances.geometry import Geometry

__all__ = ["Concentration", "concentration"]


@dataclass(frozen=True)
class Concentration:
    """Norms, distances and angles of n points in d dimensions; all without unit.

    Attributes
    ----------
    norm_cv : float
        SD of the norms over their mean (n - 1 degrees of freedom).
    distance_cv : float
        SD of the distances over their mean, over all n (n - 1) / 2 pairs.
    distance_ratio : float
        Mean distance over sqrt(2 mean |f|^2); near 1 for nearly orthogonal points.
    cosine_mean, cosine_sd : float
        Mean and SD of f_i . f_j / (|f_i| |f_j|) over the pairs without a zero point.
    """

    norm_cv: float
    distance_cv: float
    distance_ratio: float
    cosine_mean: float
    cosine_sd: float


def concentration(points: Tensor) -> Concentration:
    """Measure n points.

    Parameters
    ----------
    points : Tensor
        float64, n x d, n >= 3, not all equal and two of them not zero.

    Examples
    --------
    >>> found = concentration(torch.eye(3, dtype=torch.float64))
    >>> found.norm_cv, round(found.distance_ratio, 12), found.cosine_sd
    (0.0, 1.0, 0.0)
    """
    squares = points.square().sum(1)
    norms = squares.sqrt()
    upper = torch.ones(len(points), len(points), dtype=torch.bool, device=points.device).triu(1)
    distances = Geometry(points).distances[upper]
    units = points[norms > 0] / norms[norms > 0, None]
    cosines = (units @ units.T)[upper[: len(units), : len(units)]]
    return Concentration(
        norm_cv=float(norms.std() / norms.mean()),
        distance_cv=float(distances.std(correction=0) / distances.mean()),
        distance_ratio=float(distances.mean()) / math.sqrt(2 * float(squares.mean())),
        cosine_mean=float(cosines.mean()),
        cosine_sd=float(cosines.std(correction=0)),
    )
