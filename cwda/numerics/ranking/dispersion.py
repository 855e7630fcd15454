"""How much the scale of the filters of one layer varies (homogeneity)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.brief import brief
from cwda.numerics.jackknife import jackknife_variance

__all__ = ["Overlap", "ScaleDispersion", "overlap_of_halves", "scale_dispersion", "tau_squared"]

Array = npt.NDArray[np.float64]

#: Below this the p-value comes from the series of the incomplete beta function.
SMALLEST_TAIL = 1e-280


#: Below this many standard deviations U of independent filters does not fall.
LOWEST_STATISTIC = -3.0


@dataclass(frozen=True)
class Overlap:
    """What correlated channels add to Var(log s) where filters have one scale.

    Attributes
    ----------
    value : float
        (U / 2 + T) / D, with U the squared covariance between the halves, T that covariance
        between the filters' mean in the one and in the other half, and D the product of the
        halves' energies.
    without : ndarray
        The same without each filter in turn to first order, (n,).
    null_variance : float
        Variance of `value` where the halves are uncorrelated.
    """

    value: float
    without: Array
    null_variance: float

    __repr__ = brief


@dataclass(frozen=True)
class ScaleDispersion:
    """Split-half estimate of the variance of the filters' log scale.

    Attributes
    ----------
    estimate, error : float
        Var(log s) and its standard error; may be negative.
    low, high : float
        Limits of its interval; `high` is above 0.
    statistic : float
        t of the test that all filters have one scale.
    pvalue, log10_pvalue : float
        One-sided, n - 2 degrees of freedom.
    """

    estimate: float
    error: float
    low: float
    high: float
    statistic: float
    pvalue: float
    log10_pvalue: float


def overlap_of_halves(
    even: Array, odd: Array, rows: Array, squares: float, projections: Array
) -> Overlap:
    """What correlated channels add to the covariance of the halves' log energies.

    For normal filters of mean mu the energies of the halves have the covariance

        2 U + 4 T,    U = ||Sigma_eo||^2,    T = mu_e' Sigma_eo mu_o.

    T is the covariance over filters of f_i . mean_{j != i} f_j in one half and in the other,
    times ((n - 1) / (n - 2))^2, less U / (n - 2): without bias, for any law. Where U is so far
    below 0 that the filters are closer to orthogonal than independent ones, it counts as 0.

    Parameters
    ----------
    even, odd : ndarray
        Energies of the halves, (n,).
    rows : ndarray
        Row sums of the products H of the halves' U-centred Gram matrices, (n,).
    squares : float
        Sum of H_ij^2.
    projections : ndarray
        4 x n, as of `cwda.numerics.pairs.kernels.PairKernels`.
    """
    n = len(even)
    products = even * odd
    total, pairs = float(rows.sum()), n * (n - 3)
    apart = float(even.sum() * odd.sum() - products.sum()) / (n * (n - 1))
    apart_without = ((even.sum() - even) * (odd.sum() - odd) - (products.sum() - products)) / (
        (n - 1) * (n - 2)
    )
    if apart <= 0 or (apart_without <= 0).any():
        return Overlap(0.0, np.zeros(n), 0.0)
    squared, squared_without = total / pairs, (total - 2 * rows) / ((n - 1) * (n - 4))
    if total < LOWEST_STATISTIC * math.sqrt(2 * squares):
        squared, squared_without = 0.0, np.zeros(n)  # orthogonal filters: no sign of scales
    along, along_without = _covariances(projections[0], projections[1])
    # Without a filter the mean moves away from it, and each projection by z_i . z_k / (n - 3).
    moved = projections[2:].sum(axis=0) / (n - 3) - rows / (n - 3) ** 2
    along -= squared / (n - 2)
    along_without = along_without - moved / (n - 2) - squared_without / (n - 3)
    variances = projections[:2].var(axis=1, ddof=1)
    return Overlap(
        (squared / 2 + along) / apart,
        (squared_without / 2 + along_without) / apart_without,
        (squares / 2 / pairs**2 + float(variances.prod()) / (n - 1)) / apart**2,
    )


def scale_dispersion(even: Array, odd: Array, overlap: Overlap, alpha: float) -> ScaleDispersion:
    """Estimate Var(log s) of filters f_j = s_j g_j from two halves of their channels.

    With a_i, b_i the log energies of filter i over even and over odd input channels,

        Var(log s) = (Cov(a, b) - beta (2 U + 4 T) / D) / 4:

    noise and kurtosis of the weights do not enter, since the halves do not share them, and
    what correlated channels share is subtracted. (2 U + 4 T) / D is the covariance of relative
    energies that they cause (`overlap_of_halves`), and beta, the product of the slopes of log
    energy on relative energy in the two halves, carries it over to logarithms. With few
    effective dimensions this subtracts too little, and beta = 1 too much: the upper limit rests
    on the former, the lower limit and the test on the latter.

    The interval combines those of V+ = Var((a+b)/2) and V- = Var((a-b)/2), whose difference
    is Cov(a, b), by MOVER (Zou & Donner 2008), and the variance of the subtracted term.

    Parameters
    ----------
    even, odd : ndarray
        Energies of the halves, (n,), positive.
    overlap : Overlap
        Of the same filters.
    alpha : float
        The interval has level 1 - 2 alpha.

    Returns
    -------
    ScaleDispersion

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> s = np.exp(0.3 * rng.standard_normal(200))
    >>> none = Overlap(0.0, np.zeros(200), 0.0)
    >>> even, odd = s**2 * rng.chisquare(72, 200), s**2 * rng.chisquare(72, 200)
    >>> found = scale_dispersion(even, odd, none, 0.05)
    >>> bool(found.low < 0.3**2 < found.high)
    True
    """
    a, b = np.log(even), np.log(odd)
    n = len(a)
    covariance, covariance_without = _covariances(a, b)
    slope, slope_without = _slope(even, a)
    other, other_without = _slope(odd, b)
    shared = slope * other * overlap.value
    shared_without = slope_without * other_without * overlap.without
    estimate = covariance / 4 - shared
    most = min(covariance / 4 - overlap.value, estimate)
    noise = max(float(jackknife_variance(overlap.without)), overlap.null_variance)

    t = float(special.stdtrit(n - 1, 1 - alpha))
    plus, minus = _LogVariance((a + b) / 2), _LogVariance((a - b) / 2)
    plus_low, plus_high = plus.limits(t)
    minus_low, minus_high = minus.limits(t)
    below = math.hypot(plus.value - plus_low, minus_high - minus.value) / 4
    above = math.hypot(plus_high - plus.value, minus.value - minus_low) / 4

    correlation = float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0
    correlation = min(max(correlation, -1 + 1e-15), 1 - 1e-15)
    at_zero = a.var(ddof=1) * b.var(ddof=1) * (1 - correlation**2)
    # A covariance that correlated channels make scatters more than one of zero does: by
    # 1 + rho^2 in place of 1 - rho^2.
    null = (at_zero + 2 * (4 * overlap.value) ** 2) / (16 * (n - 2))
    deviation = math.sqrt(null + noise)
    statistic = most / deviation if deviation else 0.0
    return ScaleDispersion(
        estimate,
        math.sqrt(jackknife_variance(covariance_without / 4 - shared_without)),
        most - math.hypot(below, t * math.sqrt(noise)),
        max(estimate, 0.0) + math.hypot(above, t * math.sqrt(jackknife_variance(shared_without))),
        statistic,
        float(special.stdtr(n - 2, -statistic)),
        _log10_tail(n - 2, statistic),
    )


def _covariances(x: Array, y: Array) -> tuple[float, Array]:
    """The covariance, and without each value in turn: the sum loses n/(n-1) dx dy."""
    n = len(x)
    products = (x - x.mean()) * (y - y.mean())
    total = float(products.sum())
    return total / (n - 1), (total - n / (n - 1) * products) / (n - 2)


def _slope(energy: Array, log_energy: Array) -> tuple[float, Array]:
    """Slope of log energy on energy over its mean, between 0 and 1; also without each filter."""
    covariance, covariance_without = _covariances(energy, log_energy)
    variance, variance_without = _covariances(energy, energy)
    n, mean = len(energy), float(energy.mean())
    if variance <= 0 or (variance_without <= 0).any():
        return 1.0, np.ones(n)
    mean_without = (n * mean - energy) / (n - 1)
    slopes = np.clip(covariance_without / variance_without * mean_without, 0, 1)
    return min(max(covariance / variance * mean, 0.0), 1.0), slopes


def _log10_tail(freedom: int, t: float) -> float:
    """log10 P(T > t), also where it is below the range of float64."""
    tail = float(special.stdtr(freedom, -t))
    if tail > SMALLEST_TAIL:
        return math.log10(tail)
    # P = I_x(freedom/2, 1/2) / 2 with x = freedom / (freedom + t^2); its series at small x.
    a, x = freedom / 2, freedom / (freedom + t * t)
    log = a * math.log(x) + math.log1p(-x) / 2 - math.log(2 * a) - float(special.betaln(a, 0.5))
    return (log + math.log(float(special.hyp2f1(a + 0.5, 1, a + 1, x)))) / math.log(10)


class _LogVariance:
    """A sample variance with an interval on the log scale."""

    def __init__(self, x: Array) -> None:
        self.value, without = _covariances(x, x)
        self.log_variance = 2 / (len(x) - 1)
        if (without > 0).all():
            self.log_variance = max(float(jackknife_variance(np.log(without))), self.log_variance)

    def limits(self, t: float) -> tuple[float, float]:
        factor = math.exp(min(t * math.sqrt(self.log_variance), 700.0))
        return self.value / factor, self.value * factor


def tau_squared(energy: Array, products: float) -> float:
    """Squared coefficient of variation of the filters' squared scale.

    tau^2 = A / (B + 2 C) - 1 with A the mean of q_i^2, B the mean of q_i q_j and C that of
    G_ij^2 over i != j. Numerator and denominator are unbiased under Gaussian weights;
    heavy tails raise it as well, which `scale_dispersion` is free of.

    Parameters
    ----------
    energy : ndarray
        q_i = |f_i|^2, (n,), float64.
    products : float
        Sum of (f_i . f_j)^2 over i != j.

    Returns
    -------
    float
    """
    n = len(energy)
    squares, total = float(energy @ energy), float(energy.sum())
    pairs = n * (n - 1)
    between = (total**2 - squares) / pairs
    return squares / n / (between + 2 * products / pairs) - 1
