"""Intervals of a proportion."""

from __future__ import annotations

import math

from scipy import special

__all__ = ["wilson_interval"]


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a binomial proportion; NaN without a trial.

    The p with |successes / trials - p| <= z sqrt(p (1 - p) / trials).

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
