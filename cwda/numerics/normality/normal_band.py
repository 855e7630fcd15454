"""Simultaneous band for a normal Q-Q plot of a sample in standard form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["FEWEST", "LEVEL", "local_level", "normal_band"]

#: Probability that all points of a normal sample lie within the band.
LEVEL = 0.95

#: Smallest sample with a band.
FEWEST = 8

# Local levels at n = 2^3, 2^4, ...: the 5 % quantile, over standardised normal samples, of the
# smallest two-sided tail probability of any order statistic. Draws: 20,000 up to n = 2^10,
# 6,000 up to 2^14, 2,000 up to 2^17. `benchmarks/normal_band.py` computes them anew.
_LOCAL_LEVELS = (
    *(0.178, 0.0987, 0.0585, 0.0354, 0.0239, 0.0148, 0.0105, 0.00718),
    *(0.00510, 0.00365, 0.00280, 0.00230, 0.00195, 0.00170, 0.00145),
)
_FIRST_POWER = 3

Array = npt.NDArray[np.float64]


def local_level(n: int) -> float:
    """Level of the band at each single order statistic, interpolated in log n.

    Beyond n = 2^17 it is that of 2^17, where it changes by a fifth from one power of two to
    the next at most.
    """
    powers = np.arange(_FIRST_POWER, _FIRST_POWER + len(_LOCAL_LEVELS))
    return float(np.exp(np.interp(np.log2(n), powers, np.log(_LOCAL_LEVELS))))


def normal_band(n: int, ranks: npt.NDArray[np.int_]) -> tuple[Array, Array]:
    """Limits of order statistics of n standardised values, if they come from a normal law.

    Equal local levels: at each rank i the limits are quantiles eta/2 and 1 - eta/2 of the law of
    the i-th smallest of n, Phi^-1 of a Beta(i, n + 1 - i) variable, with one eta for all ranks.
    eta is calibrated for samples standardised by their own mean and SD, so that all n points lie
    within the band with probability 0.95; unlike a Kolmogorov band it has power in the tails.

    Parameters
    ----------
    n : int
        Size of the sample, 8 or more.
    ranks : ndarray of int
        Ranks at which the limits are wanted, 1 to n.

    Returns
    -------
    low, high : ndarray
        Limits of the values minus their mean, over their SD (with n - 1).

    References
    ----------
    Aldor-Noiman et al. (2013), The power to see: a new graphical test of normality, The
    American Statistician 67, 249-260.

    Examples
    --------
    >>> low, high = normal_band(100, np.array([1, 50, 100]))
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([-3.64, -0.29, 1.73], [-1.73, 0.26, 3.64])
    """
    tail = local_level(n) / 2
    mirrored = n + 1 - ranks
    # Each limit from its own tail: near 1 a probability has lost its digits.
    low = _limit(ranks, mirrored, tail)
    return low, -_limit(mirrored, ranks, tail)


def _limit(a: npt.NDArray[np.int_], b: npt.NDArray[np.int_], tail: float) -> Array:
    return np.asarray(special.ndtri(special.betaincinv(a, b, tail)))
