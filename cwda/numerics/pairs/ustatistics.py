"""Test and interval for a squared effect estimated by a U-statistic of degree 2.

One engine serves all second-order conditions: it takes the estimate U and the denominator D that
makes it an effect, theta = c U / D, both with their values without each filter in turn, and what
the kernel matrix H of U adds up to (see `cwda.numerics.pairs.sums`). The unit of replication is
the filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from cwda.numerics.jackknife import jackknife_variance
from cwda.numerics.pairs.moments import Estimate
from cwda.numerics.pairs.sums import Array, KernelSums
from cwda.numerics.pairs.tails import log_chi_square_tail, log_normal_tail

__all__ = ["UStatistic", "infer", "mean_energy", "pairs_of", "plain_estimate"]

#: Below this skewness the null distribution is taken as normal.
SMALLEST_SKEWNESS = 1e-3


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
        z = U / sqrt(v0), v0 the variance of U where theta = 0.
    log_pvalue : float
        Natural logarithm of the one-sided p-value of theta = 0 against theta > 0.
    theta, theta_se : float
        theta, which may be negative, and its standard error.
    """

    estimate: float
    effect: float
    low: float
    high: float
    statistic: float
    log_pvalue: float
    theta: float
    theta_se: float

    @property
    def pvalue(self) -> float:
        """The p-value itself; 0 where float64 does not hold it."""
        return math.exp(self.log_pvalue)


def mean_energy(q: Array) -> Estimate:
    """Mean of q_i = |f_i|^2, the denominator of the mean condition."""
    total = float(q.sum())
    return Estimate(total / len(q), (total - q) / (len(q) - 1))


def pairs_of(n: int, *, centred: bool) -> int:
    """What sum H is divided by: the pairs of filters, or n (n - 3) if they were centred first."""
    return n * (n - 3) if centred else n * (n - 1)


def plain_estimate(kernel: KernelSums, *, centred: bool) -> Estimate:
    """U from the sums of its kernel alone.

    Without each filter in turn a U-centred kernel would have to be centred anew. It is not, and
    the values are spread about their mean by the factor that makes up for it in the jackknife's
    variance, (n - 1) / (n - 3).
    """
    n = len(kernel.rows)
    value = kernel.total / pairs_of(n, centred=centred)
    without = (kernel.total - 2 * kernel.rows) / pairs_of(n - 1, centred=centred)
    if centred:
        average = without.mean()
        without = average + (without - average) * math.sqrt((n - 1) / (n - 3))
    return Estimate(value, without)


def infer(
    kernel: KernelSums,
    estimate: Estimate,
    denominator: Estimate,
    scale: float,
    *,
    centred: bool,
    alpha: float,
    rounding: float = 0.0,
) -> UStatistic:
    """Test theta = c U / D against 0 and give its Wilson-jackknife interval.

    The null distribution of U is that of a weighted sum of centred chi-squares; it is
    approximated by the chi-square of the same skewness 8 tr(H^3) / (2 sum H^2)^1.5. The limits
    solve (theta - theta0)^2 = t^2 v(theta0) with a variance that grows linearly from its value
    at zero, v0, to the jackknife's at the estimate, so that where the estimate is positive the
    interval contains 0 exactly when z <= t. Where it is not, the interval begins at 0, and its
    upper limit is that of an estimate of 0.

    Parameters
    ----------
    kernel : KernelSums
        What H, symmetric with zero diagonal, adds up to; n >= 5.
    estimate, denominator : Estimate
        U and D.
    scale : float
        c, the constant of the effect.
    centred : bool
        Whether the filters were centred before H was formed: v0 = 2 sum H^2 / (n (n - 3))^2,
        else with n (n - 1).
    alpha : float
        The interval has level 1 - 2 alpha.
    rounding : float
        Where sum H^2 does not exceed it, H consists of rounding, and U is 0.

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
    >>> estimate = plain_estimate(sums, centred=False)
    >>> found = infer(sums, estimate, energy, 1.0, centred=False, alpha=0.05)
    >>> found.low, found.pvalue > 0.05
    (0.0, True)
    """
    n, squares = len(kernel.rows), kernel.squares
    if squares <= rounding:
        return UStatistic(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    spread = math.sqrt(2 * squares) / pairs_of(n, centred=centred)
    statistic = estimate.value / spread
    theta = scale * estimate.value / denominator.value
    without = scale * estimate.without / denominator.without
    jackknife = float(jackknife_variance(without))
    at_zero = (scale * spread / denominator.value) ** 2
    variance = max(jackknife, at_zero)
    low, high = _wilson(theta, at_zero, variance, n, alpha)
    return UStatistic(
        estimate=estimate.value,
        effect=math.sqrt(max(theta, 0.0)),
        low=low,
        high=high,
        statistic=statistic,
        log_pvalue=_log_upper_tail(statistic, kernel.cubes, squares),
        theta=theta,
        theta_se=math.sqrt(variance),
    )


def _log_upper_tail(statistic: float, cubes: float, squares: float) -> float:
    skewness = 8 * cubes / (2 * squares) ** 1.5
    if not skewness > SMALLEST_SKEWNESS:
        return log_normal_tail(statistic)
    freedom = 8 / skewness**2
    return log_chi_square_tail(freedom, freedom + statistic * math.sqrt(2 * freedom))


def _wilson(
    theta: float, at_zero: float, variance: float, n: int, alpha: float
) -> tuple[float, float]:
    """Limits of sqrt(theta)."""
    t = float(special.stdtrit(n - 1, 1 - alpha))
    slope = (variance - at_zero) / max(theta, math.sqrt(at_zero))
    shift, start = t * t * slope / 2, max(theta, 0.0)
    radius = math.sqrt(t * t * (at_zero + slope * start) + shift**2)
    low = start + shift - radius if theta > 0 else 0.0
    return math.sqrt(max(low, 0.0)), math.sqrt(start + shift + radius)
