"""Intervals of a proportion, and quantiles of a number of successes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["binomial_quantile", "clopper_pearson_interval", "wilson_interval"]

Array = npt.NDArray[np.float64]


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a binomial proportion; NaN without a trial.

    The p with |successes / trials - p| <= z sqrt(p (1 - p) / trials). As
    `statsmodels.stats.proportion.proportion_confint`, whose module takes a second to import: this
    one is for tables that a terminal waits for, as is `clopper_pearson_interval`.

    Parameters
    ----------
    successes, trials : int
        Counts, 0 <= successes <= trials.
    level : float
        Nominal coverage.

    References
    ----------
    Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    Examples
    --------
    >>> low, high = wilson_interval(19, 20)
    >>> round(low, 3), round(high, 3)
    (0.764, 0.991)
    """
    if trials == 0:
        return math.nan, math.nan
    z = float(special.ndtri((1 + level) / 2))
    share = successes / trials
    centre = share + z * z / (2 * trials)
    radius = z * math.sqrt((share * (1 - share) + z * z / (4 * trials)) / trials)
    scale = 1 + z * z / trials
    # Exactly 0 and 1 at the ends, where rounding would leave a remainder.
    low = (centre - radius) / scale if successes else 0.0
    return low, (centre + radius) / scale if successes < trials else 1.0


def clopper_pearson_interval(successes: Array, trials: Array, level: float) -> tuple[Array, Array]:
    """Clopper and Pearson's exact limits of binomial proportions.

    The p of which as many successes, or more (fewer), have the probability (1 - level) / 2:
    quantiles of Beta(s, t - s + 1) and Beta(s + 1, t - s).

    Parameters
    ----------
    successes, trials : ndarray
        Counts, 0 <= successes <= trials, trials at least 1; an effective number of trials need
        not be whole.
    level : float
        Coverage, which it has at least.

    References
    ----------
    Clopper and Pearson (1934), The use of confidence or fiducial limits illustrated in the case of
    the binomial, Biometrika 26.

    Examples
    --------
    >>> low, high = clopper_pearson_interval(np.array([19.0]), np.array([20.0]), 0.95)
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.751], [0.999])
    """
    failures, tail = trials - successes, (1 - level) / 2
    low = special.betaincinv(np.where(successes > 0, successes, 1), failures + 1, tail)
    high = special.betaincinv(successes + 1, np.where(failures > 0, failures, 1), 1 - tail)
    return np.where(successes > 0, low, 0.0), np.where(failures > 0, high, 1.0)


def binomial_quantile(q: float, trials: Array, probability: Array) -> Array:
    """Smallest number of successes that is not exceeded with probability q or more.

    As `scipy.stats.binom.ppf`, whose module takes most of a second to import.

    Parameters
    ----------
    q : float
        Between 0 and 1.
    trials, probability : ndarray
        Broadcast against each other; probabilities from 0 to 1.

    Examples
    --------
    >>> binomial_quantile(0.975, np.array([20.0]), np.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 14.0, 20.0]
    """
    inside = np.clip(probability, 1e-300, 1 - 1e-16)
    upper = np.ceil(special.bdtrik(q, trials, inside))
    # It has no number where nearly surely none succeeds, or all do.
    upper = np.where(np.isnan(upper), np.where(inside < 0.5, 0.0, trials), upper)
    lower = np.maximum(upper - 1, 0)
    below = special.betaincc(lower + 1, np.maximum(trials - lower, 1), inside)  # P(X <= lower)
    found = np.where(below >= q, lower, upper)
    return np.where(probability <= 0, 0.0, np.where(probability >= 1, trials, found))
