"""How much the scale of the filters of one layer varies (homogeneity)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["ScaleDispersion", "scale_dispersion", "tau_squared"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScaleDispersion:
    """Split-half estimate of the SD of the filters' log scale.

    Attributes
    ----------
    estimate : float
        Var(log s); may be negative.
    effect, low, high : float
        SD of log s, sqrt(max(Var, 0)), and the limits of its interval.
    statistic : float
        t of the Pearson correlation of the halves' log energies.
    pvalue : float
        One-sided, n - 2 degrees of freedom.
    """

    estimate: float
    effect: float
    low: float
    high: float
    statistic: float
    pvalue: float


def scale_dispersion(even: Array, odd: Array, alpha: float) -> ScaleDispersion:
    """Estimate SD(log s) of filters f_j = s_j g_j from two halves of their channels.

    With a_i, b_i the log energies of filter i over even and over odd input channels,
    Var(log s) = Cov(a, b) / 4: noise and kurtosis of the weights do not enter, since
    they are not shared by the halves. The interval combines those of V+ = Var((a+b)/2)
    and V- = Var((a-b)/2), whose difference is Cov(a, b), by MOVER (Zou & Donner 2008).

    Parameters
    ----------
    even, odd : ndarray
        Energies of the halves, (n,), positive.
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
    >>> found = scale_dispersion(s**2 * rng.chisquare(72, 200), s**2 * rng.chisquare(72, 200), 0.05)
    >>> bool(found.low < 0.3 < found.high)
    True
    """
    a, b = np.log(even), np.log(odd)
    n = len(a)
    plus, minus = _LogVariance((a + b) / 2), _LogVariance((a - b) / 2)
    estimate = (plus.value - minus.value) / 4
    correlation = float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0
    correlation = min(max(correlation, -1 + 1e-16), 1 - 1e-16)
    statistic = correlation * math.sqrt((n - 2) / (1 - correlation**2))
    pvalue = float(special.stdtr(n - 2, -statistic))
    t = float(special.stdtrit(n - 1, 1 - alpha))
    plus_low, plus_high = plus.limits(t)
    minus_low, minus_high = minus.limits(t)
    low = 4 * estimate - math.hypot(plus.value - plus_low, minus_high - minus.value)
    high = 4 * estimate + math.hypot(plus_high - plus.value, minus.value - minus_low)
    return ScaleDispersion(
        estimate,
        math.sqrt(max(estimate, 0.0)),
        math.sqrt(max(low, 0.0)) / 2,
        math.sqrt(max(high, 0.0)) / 2,
        statistic,
        pvalue,
    )


class _LogVariance:
    """A sample variance with an interval on the log scale."""

    def __init__(self, x: Array) -> None:
        n = len(x)
        deviation = x - x.mean()
        squares = float(deviation @ deviation)
        self.value = squares / (n - 1)
        # Variance without each value in turn: the sum of squares loses n/(n-1) dev^2.
        without = (squares - n / (n - 1) * deviation**2) / (n - 2)
        self.log_variance = 2 / (n - 1)
        if (without > 0).all():
            logs = np.log(without)
            jackknife = (n - 1) / n * float(((logs - logs.mean()) ** 2).sum())
            self.log_variance = max(jackknife, self.log_variance)

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
