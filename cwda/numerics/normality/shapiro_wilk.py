"""The Shapiro-Wilk test of normality in Royston's approximation."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from cwda.numerics.normality.standard_normal import upper_tail

__all__ = ["LARGEST_SAMPLE", "shapiro_wilk_pvalue", "shapiro_wilk_weights"]

LARGEST_SAMPLE = 5000
"""Largest n for which Royston fitted the law of W."""

# Royston (1995), algorithm AS R94: polynomial coefficients, constant term first.
_LAST = (0.0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056)
_LAST_BUT_ONE = (0.0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633)
_SMALL_GAMMA = (-2.273, 0.459)
_SMALL_MEAN = (0.544, -0.39978, 0.025054, -6.714e-4)
_SMALL_LOG_SD = (1.3822, -0.77857, 0.062767, -0.0020322)
_LARGE_MEAN = (-1.5861, -0.31082, -0.083751, 0.0038915)
_LARGE_LOG_SD = (-0.4803, -0.082676, 0.0030302)


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    return sum(c * x**power for power, c in enumerate(coefficients))


@lru_cache(maxsize=64)
def shapiro_wilk_weights(n: int) -> Tensor:
    """Weights a of the ordered sample, shape (n,), float64, with sum a^2 = 1.

    W = (sum a_i z_i)^2 / (n - 1) for a sorted sample z of standard deviation 1. From the
    approximate normal scores m_i = Phi^-1((i - 3/8) / (n + 1/4)); the two (n <= 5: one)
    extreme weights on each side by Royston's polynomials in n^(-1/2).

    References
    ----------
    P. Royston (1995), Remark AS R94, Applied Statistics 44, 547-551.

    Examples
    --------
    >>> from cwda.numerics.normality.shapiro_wilk import shapiro_wilk_weights
    >>> shapiro_wilk_weights(3)
    tensor([-0.7071,  0.0000,  0.7071], dtype=torch.float64)
    """
    if n == 3:
        return torch.tensor([-math.sqrt(0.5), 0.0, math.sqrt(0.5)], dtype=torch.float64)
    rank = torch.arange(1, n + 1, dtype=torch.float64)
    scores = torch.special.ndtri((rank - 0.375) / (n + 0.25))
    squares = float(scores @ scores)
    x = n**-0.5
    last, last_but_one = float(scores[-1]), float(scores[-2])
    extremes = [_polynomial(_LAST, x) + last / math.sqrt(squares)]
    remaining = squares - 2 * last**2
    if n > 5:
        extremes.append(_polynomial(_LAST_BUT_ONE, x) + last_but_one / math.sqrt(squares))
        remaining -= 2 * last_but_one**2
    share = 1 - 2 * sum(a * a for a in extremes)
    weights: Tensor = scores * math.sqrt(share / remaining)
    for i, a in enumerate(extremes):
        weights[i], weights[-1 - i] = -a, a
    return weights


def shapiro_wilk_pvalue(w: Tensor, n: int) -> Tensor:
    """p-value of W: exact for n = 3, Royston's normalising transformation to n = 5000.

    W agrees with scipy.stats.shapiro within 1e-8 and p within 2e-6 p: scipy's quantile function
    (AS 111) gives normal scores with errors to 6e-7, these are exact in float64, and 1 - W, on
    which p rests, is as small as 1e-3.
    """
    if n == 3:
        exact = 6 / math.pi * (torch.asin(w.clamp(0.75, 1).sqrt()) - math.asin(math.sqrt(0.75)))
        return exact.clamp(0, 1)
    y = torch.log1p(-w)
    if n <= 11:
        gamma = _polynomial(_SMALL_GAMMA, n)
        beyond = y >= gamma  # W so small that the transformation has no value there
        y = -torch.log(gamma - torch.where(beyond, gamma - 1, y))
        mean, sd = _polynomial(_SMALL_MEAN, n), math.exp(_polynomial(_SMALL_LOG_SD, n))
        return torch.where(beyond, 0.0, upper_tail((y - mean) / sd))
    log_n = math.log(n)
    mean, sd = _polynomial(_LARGE_MEAN, log_n), math.exp(_polynomial(_LARGE_LOG_SD, log_n))
    return upper_tail((y - mean) / sd)
