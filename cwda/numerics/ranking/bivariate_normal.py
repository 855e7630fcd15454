"""The bivariate normal law."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["bivariate_normal_cdf"]

Array = npt.NDArray[np.float64]

#: Phi of anything smaller is Phi(0) in float64.
SMALLEST = 1e-150


def bivariate_normal_cdf(x: Array | float, y: Array | float, rho: Array | float) -> Array:
    """P(X <= x, Y <= y) of standard normal X and Y with correlation rho; elementwise.

    (Phi(x) + Phi(y) - delta) / 2 - T(x, a_x) - T(y, a_y), with Owen's T,
    a_x = (y - rho x) / (x sqrt(1 - rho^2)), a_y likewise, and delta = 1 where x and y have
    different signs, else 0. Absolute error below 1e-14.

    Parameters
    ----------
    x, y, rho : array_like
        Shapes that broadcast; infinite x and y are allowed, rho lies between -1 and 1.

    References
    ----------
    Owen (1956), Tables for computing bivariate normal probabilities, Annals of Mathematical
    Statistics 27, 1075-1090.

    Examples
    --------
    >>> round(float(bivariate_normal_cdf(0.0, 0.0, 0.5)), 6)  # 1/4 + asin(rho) / (2 pi)
    0.333333
    """
    x, y, rho = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y, rho)))
    below_x, below_y = special.ndtr(x), special.ndtr(y)
    together = np.minimum(below_x, below_y)  # rho = 1
    apart = np.maximum(below_x + below_y - 1, 0.0)  # rho = -1
    finite = np.isfinite(x) & np.isfinite(y)
    # Beyond 38 Phi is 0 or 1 in float64; an infinite argument would give NaN slopes.
    # Subnormal ones are 0: products with them would lose the slope.
    h, k = (np.where(finite & (np.abs(v) > SMALLEST), v, 0.0) for v in (x, y))
    root = np.sqrt(np.clip((1 - rho) * (1 + rho), 0.0, None))
    inner = np.abs(rho) < 1
    safe = np.where(inner, root, 1.0)
    delta = ((h < 0) != (k < 0)).astype(np.float64)
    owen = (below_x + below_y - delta) / 2 - _owen(h, k, rho, safe) - _owen(k, h, rho, safe)
    degenerate = np.where(rho > 0, together, apart)
    limit = np.where((x == -np.inf) | (y == -np.inf), 0.0, together)
    return np.clip(np.where(finite, np.where(inner, owen, degenerate), limit), apart, together)


def _owen(h: Array, k: Array, rho: Array, root: Array) -> Array:
    """T(h, (k - rho h) / (h root)), with its limit at h = 0."""
    rise = (k - rho * h) / root
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        at_zero = np.where(k == 0, (1 - rho) / root, np.inf * np.sign(k))
        slope = np.where(h == 0, at_zero, rise / h)
    return np.asarray(special.owens_t(h, slope))
