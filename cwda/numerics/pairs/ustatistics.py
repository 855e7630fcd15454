"""Test and interval for a squared effect estimated by a U-statistic of degree 2.

One engine serves all second-order conditions: it takes what a kernel matrix H adds up to (see
`cwda.numerics.pairs.sums`) and the denominator D that makes the estimate an effect,
theta = c U / D. The unit of replication is the filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from cwda.brief import brief
from cwda.numerics.pairs.sums import Array, KernelSums

__all__ = ["Denominator", "UStatistic", "infer", "mean_energy", "mean_energy_product"]

#: Below this skewness the null distribution is taken as normal.
SMALLEST_SKEWNESS = 1e-3


@dataclass(frozen=True)
class Denominator:
    """The value D of a denominator and its values without each filter in turn."""

    value: float
    without: Array

    __repr__ = brief


@dataclass(frozen=True)
class UStatistic:
    """Estimate, test of theta = 0 and interval of an effect sqrt(theta).

    Attributes
    ----------
    estimate : float
        U, unbiased for the squared norm; may be negative.
    effect, low, high : float
        sqrt(max(theta, 0)) and the limits of its interval.
    statistic : float
        z = S / sqrt(2 sum H^2), S = sum H.
    pvalue : float
        One-sided p-value of theta = 0 against theta > 0.
    """

    estimate: float
    effect: float
    low: float
    high: float
    statistic: float
    pvalue: float


def mean_energy(q: Array) -> Denominator:
    """Mean of q_i = |f_i|^2, the denominator of the mean condition."""
    total = float(q.sum())
    return Denominator(total / len(q), (total - q) / (len(q) - 1))


def mean_energy_product(q: Array) -> Denominator:
    """D2, the mean of q_i q_j over i != j, the denominator of second-order conditions."""
    n, total, squares = len(q), float(q.sum()), float(q @ q)
    value = (total**2 - squares) / (n * (n - 1))
    without = (total**2 - squares - 2 * q * (total - q)) / ((n - 1) * (n - 2))
    return Denominator(value, without)


def infer(
    kernel: KernelSums, denominator: Denominator, scale: float, *, centred: bool, alpha: float
) -> UStatistic:
    """Test theta = c U / D against 0 and give its Wilson-jackknife interval.

    The null distribution of S = sum H is that of a weighted sum of centred chi-squares;
    it is approximated by the chi-square of the same skewness 8 tr(H^3) / (2 sum H^2)^1.5.
    The interval solves (theta - theta0)^2 = t^2 v(theta0) with a variance that grows
    linearly from its value at zero, v0, to the jackknife's at the estimate, so that it
    contains 0 exactly when z <= t.

    Parameters
    ----------
    kernel : KernelSums
        What H, symmetric with zero diagonal, adds up to; n >= 5.
    denominator : Denominator
        D and its leave-one-out values.
    scale : float
        c, the constant of the effect.
    centred : bool
        Whether the kernel is made of U-centred Gram matrices (U = S / (n (n - 3)))
        or not (U = S / (n (n - 1))).
    alpha : float
        The interval has level 1 - 2 alpha.

    Returns
    -------
    UStatistic

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.pairs.sums import kernel_sums
    >>> filters = torch.randn(64, 36, generator=torch.Generator().manual_seed(1)).double()
    >>> gram = filters @ filters.T
    >>> energy = mean_energy(gram.diagonal().numpy().copy())
    >>> sums = kernel_sums({"mean": gram.fill_diagonal_(0)})["mean"]
    >>> found = infer(sums, energy, 1.0, centred=False, alpha=0.05)
    >>> found.low, found.pvalue > 0.05
    (0.0, True)
    """
    n, rows, squares = len(kernel.rows), kernel.rows, kernel.squares
    total = kernel.total
    pairs, pairs_without = (n * (n - 3), (n - 1) * (n - 4)) if centred else _pairs(n)
    estimate = total / pairs
    if squares == 0:
        return UStatistic(estimate, 0.0, 0.0, 0.0, 0.0, 1.0)
    statistic = total / math.sqrt(2 * squares)
    pvalue = _upper_tail(statistic, kernel.cubes, squares)

    theta = scale * estimate / denominator.value
    theta_without = scale * (total - 2 * rows) / pairs_without / denominator.without
    jackknife = (n - 1) / n * float(((theta_without - theta_without.mean()) ** 2).sum())
    at_zero = 2 * squares * (scale / (pairs * denominator.value)) ** 2
    low, high = _wilson(theta, at_zero, max(jackknife, at_zero), n, alpha)
    return UStatistic(estimate, math.sqrt(max(theta, 0.0)), low, high, statistic, pvalue)


def _pairs(n: int) -> tuple[int, int]:
    return n * (n - 1), (n - 1) * (n - 2)


def _upper_tail(statistic: float, cubes: float, squares: float) -> float:
    skewness = 8 * cubes / (2 * squares) ** 1.5
    if skewness <= SMALLEST_SKEWNESS:
        return float(special.ndtr(-statistic))
    freedom = 8 / skewness**2
    x = freedom + statistic * math.sqrt(2 * freedom)
    return float(special.chdtrc(freedom, x)) if x > 0 else 1.0


def _wilson(
    theta: float, at_zero: float, variance: float, n: int, alpha: float
) -> tuple[float, float]:
    """Limits of sqrt(theta)."""
    t = float(special.stdtrit(n - 1, 1 - alpha))
    slope = (variance - at_zero) / max(theta, math.sqrt(at_zero))
    shift = t * t * slope / 2
    radius = math.sqrt(max(t * t * (at_zero + slope * theta) + shift**2, 0.0))
    low, high = theta + shift - radius, theta + shift + radius
    return math.sqrt(max(low, 0.0)), math.sqrt(max(high, 0.0))
