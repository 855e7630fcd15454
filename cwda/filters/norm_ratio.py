"""Whether the norms of the filters vary as much as those of independent filters do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.numerics.jackknife import jackknife_variance

__all__ = ["NormRatio", "norm_ratio"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NormRatio:
    """Variance of the log norms over its value for normal filters of one scale.

    Attributes
    ----------
    value, low, high : float
        The ratio and the limits of its interval.
    """

    value: float
    low: float
    high: float


def norm_ratio(energy: Array, rows: Array, squares: Array, dim: int, alpha: float) -> NormRatio:
    """Var(log |f|) over its value for independent normal filters of one scale.

    For these, q = |f|^2 has a relative variance of 2 / nu with

        nu = D / (C - M^2),    Var(log |f|) = log(1 + 2 / nu) / 4,

    where D, C and M are the means of q_i q_j, (f_i . f_j)^2 and f_i . f_j over i != j. Without
    a mean of the filters nu is the effective dimension, and the leading term is 1 / (2 nu);
    C - M^2 = tr(Sigma^2) + 2 mu' Sigma mu takes in what the mean adds to the variance of q, so
    that it does not make norms look less variable. tr(Sigma^2) is at least tr(Sigma)^2 / d.
    The logarithm is exact for a log-normal q; a chi-square q varies a little more in few
    dimensions (the trigamma function), and a sum of very unequal squares less.

    The interval is that of a variance by the chi-square law, whose degrees of freedom follow
    from the jackknife over filters of the logarithm of the ratio, n - 1 at most.

    Parameters
    ----------
    energy : ndarray
        q_i, (n,), positive.
    rows, squares : ndarray
        Sums over j != i of f_i . f_j and of its square, (n,).
    dim : int
        d.
    alpha : float
        The interval has level 1 - 2 alpha.

    Returns
    -------
    NormRatio

    Examples
    --------
    >>> import numpy as np
    >>> f = np.random.default_rng(0).standard_normal((200, 72))
    >>> gram = f @ f.T
    >>> energy, pairs = gram.diagonal().copy(), gram - np.diag(gram.diagonal())
    >>> found = norm_ratio(energy, pairs.sum(1), (pairs**2).sum(1), 72, 0.05)
    >>> found.low < 1 < found.high
    True
    """
    n = len(energy)
    logs = np.log(energy) / 2
    deviation = logs - logs.mean()
    total = float(deviation @ deviation)
    variance, without = total / (n - 1), (total - n / (n - 1) * deviation**2) / (n - 2)
    q = float(energy.sum())
    product = q * q - float(energy @ energy)
    product_without = product - 2 * energy * (q - energy)
    square, row = float(squares.sum()), float(rows.sum())
    expected = float(_expected(product, square, row, n, dim))
    expected_without = _expected(product_without, square - 2 * squares, row - 2 * rows, n - 1, dim)
    value = variance / expected
    if (without <= 0).any():
        return NormRatio(value, value, value)
    changes = np.log(without) - np.log(expected_without)
    spread = float(jackknife_variance(changes))
    freedom = min(n - 1.0, 2 / spread) if spread else n - 1.0
    low, high = special.chdtri(freedom, alpha), special.chdtri(freedom, 1 - alpha)
    return NormRatio(
        value,
        value * freedom / float(low),
        value * freedom / float(high) if high > 0 else math.inf,
    )


def _expected(
    product: npt.ArrayLike, square: npt.ArrayLike, row: npt.ArrayLike, n: int, dim: int
) -> Array:
    """log(1 + 2 / nu) / 4 from the sums over pairs of n filters."""
    pairs = n * (n - 1)
    mean = np.maximum(np.asarray(row) / pairs, 0)
    shared = np.asarray(square) / pairs - mean**2
    energy = np.asarray(product) / pairs
    smallest = np.maximum((np.sqrt(energy) - mean) ** 2 / dim, 1e-12 * energy)
    found: Array = np.log1p(2 * np.maximum(shared, smallest) / energy) / 4
    return found
