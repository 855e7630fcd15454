"""Kolmogorov-Smirnov distance of pooled weights from the normal law of their mean and SD."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["SCALE_NODES", "SCALE_SHARES", "law_distance", "mixture_distance"]

Array = npt.NDArray[np.float64]

_NODES, _WEIGHTS = special.roots_hermitenorm(41)
#: Standard normal quadrature, for laws mixed over the scale of the filters.
SCALE_NODES: Array = _NODES
SCALE_SHARES: Array = _WEIGHTS / _WEIGHTS.sum()

#: Where distribution functions are compared.
_GRID: Array = np.linspace(-6, 6, 12_001)


def law_distance(cdf: Callable[[Array], Array], *, symmetric: bool = False) -> float:
    """Largest distance of a standardised, continuous law from the normal law, on a fine grid."""
    x = _GRID[len(_GRID) // 2 :] if symmetric else _GRID
    return float(np.abs(cdf(x) - special.ndtr(x)).max())


def mixture_distance(means: Array, scales: Array, shares: Array) -> float:
    """Distance of a mixture of normal laws with these means, SDs and shares, standardised.

    Examples
    --------
    >>> one, two = np.ones(1), np.ones(2)
    >>> mixture_distance(0 * one, one, one)
    0.0
    >>> round(mixture_distance(np.array([-1, 1]), two, two / 2), 3)
    0.022
    """
    centre = float(shares @ means)
    spread = float(np.sqrt(shares @ ((means - centre) ** 2 + scales**2)))
    means, scales = (means - centre) / spread, scales / spread
    if not means.any() and np.ptp(scales) <= 1e-12:
        return 0.0
    law = np.zeros_like(_GRID)
    for mean, scale, share in zip(means, scales, shares, strict=True):
        law += share * special.ndtr((_GRID - mean) / scale)
    return float(np.abs(law - special.ndtr(_GRID)).max())
