"""Logarithms of upper tails, also where float64 does not hold the probability."""

from __future__ import annotations

import math

from scipy import special

__all__ = ["log_chi_square_tail", "log_normal_tail"]

#: Probabilities below it are not taken from scipy: they lose digits, and are 0 at last.
_SMALLEST = 1e-290

#: Terms of the continued fraction; near the mean of a law it takes about the root of its degrees
#: of freedom, but there it is not needed.
_TERMS = 100_000


def log_normal_tail(x: float) -> float:
    """log P(X > x) of the standard normal law.

    Examples
    --------
    >>> round(log_normal_tail(100.0), 3)
    -5005.524
    """
    return float(special.log_ndtr(-x))


def log_chi_square_tail(freedom: float, x: float) -> float:
    """log P(X > x) of the chi-square law.

    Far out it is that of the incomplete gamma function's continued fraction, by the method of
    Lentz.

    Examples
    --------
    >>> round(log_chi_square_tail(2.0, 5000.0), 9), log_chi_square_tail(3.0, -1.0)
    (-2500.0, 0.0)
    """
    if x <= 0:
        return 0.0
    tail = float(special.chdtrc(freedom, x))
    if tail > _SMALLEST:
        return math.log(tail)
    a, y = freedom / 2, x / 2
    b = y + 1 - a
    c, d = math.inf, 1 / b
    fraction = d
    for i in range(1, _TERMS):
        term = i * (a - i)
        b += 2
        d = 1 / (term * d + b)
        c = b + term / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return a * math.log(y) - y - float(special.gammaln(a)) + math.log(fraction)
