"""How far filters lie from one another and from their geometric median, once for several analyses.

Measured scores and the moments of log-scores need the same numbers of a layer. Matrices of all
pairs are not kept for that, only what is left of them: some numbers for each filter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cwda.layers import ConvLayer
from cwda.numerics.distances.geometry import GeometricMedian, Geometry
from cwda.sharing import shared

__all__ = ["distance_sums", "geometric_median"]


def distance_sums(
    layer: ConvLayer, device: torch.device, geometry: Callable[[], Geometry]
) -> Tensor:
    """Sum of the distances of each filter to all others, float64, (n,).

    Parameters
    ----------
    layer : ConvLayer
        The layer.
    device : torch.device
        Where to compute.
    geometry : callable
        Makes the geometry of its filters as they are, if it is needed.
    """
    return shared((distance_sums, layer, device), lambda: geometry().distances.sum(-1))


def geometric_median(
    layer: ConvLayer, device: torch.device, geometry: Callable[[], Geometry]
) -> GeometricMedian:
    """The geometric median of the filters of a layer; parameters as for `distance_sums`."""
    return shared((geometric_median, layer, device), lambda: geometry().median)
