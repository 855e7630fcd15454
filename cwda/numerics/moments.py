"""Tests of normality from the third and fourth moments.

The p-values are descriptive. At the 0.1 % level both tests reject 3 to 7 times too often for
n <= 576, as the moments reach their limiting laws slowly; a correction for many tests, which
works with just such small levels, must not rest on them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "chi2_2_pvalue",
    "jarque_bera",
    "k_squared",
    "power_sums",
]

# Smallest n for which the law of the skewness is approximated.
_SMALLEST_SAMPLE = 8


def power_sums(z: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of z^3 and z^4 over the rows of (m, c)."""
    square = z * z
    return torch.linalg.vecdot(square, z), torch.linalg.vecdot(square, square)


def jarque_bera(skewness: Tensor, kurtosis: Tensor, n: int) -> Tensor:
    """JB = n/6 (S^2 + K^2/4), with two degrees of freedom; K is the excess kurtosis."""
    return n / 6 * (skewness**2 + kurtosis**2 / 4)


def k_squared(skewness: Tensor, kurtosis: Tensor, n: int) -> Tensor:
    """D'Agostino and Pearson's K^2 = Z_S^2 + Z_K^2, two degrees of freedom; NaN for n < 8.

    References
    ----------
    R. D'Agostino, A. Belanger, R. D'Agostino Jr. (1990), A suggestion for using powerful and
    informative tests of normality, The American Statistician 44, 316-321.
    """
    if n < _SMALLEST_SAMPLE:
        return torch.full_like(skewness, torch.nan)
    return _skewness_z(skewness, n) ** 2 + _kurtosis_z(kurtosis, n) ** 2


def chi2_2_pvalue(statistic: Tensor) -> Tensor:
    """P(chi2_2 > statistic) = exp(-statistic / 2)."""
    return torch.exp(-statistic / 2)


def _skewness_z(skewness: Tensor, n: int) -> Tensor:
    """D'Agostino's transformation of the skewness: a Johnson S_U law fitted to four moments."""
    fourth = 3 * (n**2 + 27 * n - 70) * (n + 1) * (n + 3)
    fourth /= (n - 2) * (n + 5) * (n + 7) * (n + 9)
    w_squared = math.sqrt(2 * (fourth - 1)) - 1
    delta = 1 / math.sqrt(0.5 * math.log(w_squared))
    alpha = math.sqrt(2 / (w_squared - 1))
    y = skewness * math.sqrt((n + 1) * (n + 3) / (6 * (n - 2)))
    return delta * torch.asinh(y / alpha)


def _kurtosis_z(kurtosis: Tensor, n: int) -> Tensor:
    """Anscombe and Glynn's transformation of the kurtosis: the cube root of a fitted chi2."""
    expected = 3 * (n - 1) / (n + 1)
    variance = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    x = (kurtosis + 3 - expected) / math.sqrt(variance)
    third = 6 * (n**2 - 5 * n + 2) / ((n + 7) * (n + 9))
    third *= math.sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    df = 6 + 8 / third * (2 / third + math.sqrt(1 + 4 / third**2))
    ratio = (1 - 2 / df) / (1 + x * math.sqrt(2 / (df - 4)))
    cube_root = ratio.sign() * ratio.abs() ** (1 / 3)
    return (1 - 2 / (9 * df) - cube_root) / math.sqrt(2 / (9 * df))
