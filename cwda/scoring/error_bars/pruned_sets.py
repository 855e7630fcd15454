"""The agreement of two pruned sets, and the correlation of the scores behind them.

Of two normal scores with correlation rho, each prunes what lies below c, a share r = Phi(c):

    kappa(rho) = (Phi_2(c, c; rho) - r^2) / (r (1 - r)).

The share of one set that the other spares is (1 - r) (1 - kappa).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.numerics.ranking.bivariate_normal import bivariate_normal_cdf

__all__ = ["kappa_of_latent", "latent_of_kappa", "slope_of_latent"]

Array = npt.NDArray[np.float64]

# Angles asin(rho) between which kappa is interpolated; the error is below 1e-6.
_ANGLES = np.linspace(-math.pi / 2, math.pi / 2, 4097)


def kappa_of_latent(rho: Array | float, ratio: float) -> Array:
    """Agreement of two sets, the share `ratio` with the lowest of scores correlated by rho.

    Examples
    --------
    >>> round(float(kappa_of_latent(0.5, 0.5)), 6)  # 2 asin(1/2) / pi
    0.333333
    """
    threshold = float(special.ndtri(ratio))
    both = bivariate_normal_cdf(threshold, threshold, rho)
    kappa = (both - ratio**2) / (ratio * (1 - ratio))
    return np.asarray(np.where(np.isnan(rho), np.nan, kappa))


def latent_of_kappa(kappa: Array | float, ratio: float) -> Array:
    """The correlation that gives this agreement; the inverse of `kappa_of_latent`.

    Examples
    --------
    >>> round(float(latent_of_kappa(1 / 3, 0.5)), 6)
    0.5
    """
    grid = _grid(ratio)
    value = np.asarray(kappa, dtype=np.float64)
    return np.asarray(np.where(np.isnan(value), np.nan, np.sin(np.interp(value, grid, _ANGLES))))


def slope_of_latent(rho: Array | float, ratio: float) -> Array:
    """The derivative of `kappa_of_latent`, phi_2(c, c; rho) / (r (1 - r)); infinite at 1.

    Examples
    --------
    >>> round(float(slope_of_latent(0.0, 0.5)), 6)  # 2 / pi
    0.63662
    """
    squared = float(special.ndtri(ratio)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.exp(-squared / (1 + rho)) / (2 * math.pi * np.sqrt(1 - np.square(rho)))
    return np.asarray(density / (ratio * (1 - ratio)))


@functools.cache
def _grid(ratio: float) -> Array:
    return kappa_of_latent(np.sin(_ANGLES), ratio)
