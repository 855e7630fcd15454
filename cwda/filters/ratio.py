"""A ratio with an interval on the logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

__all__ = ["Ratio"]


@dataclass(frozen=True)
class Ratio:
    """A measured quantity of second order over its value under CWDA, 1 where they agree.

    Attributes
    ----------
    value : float
        The ratio.
    log_error : float
        Standard error of its logarithm, by the jackknife over filters.
    freedom : float
        Degrees of freedom of the chi-square law of a variance; infinite where `t_freedom` says
        the law of the logarithm.
    t_freedom : float
        Degrees of freedom of Student's t for the logarithm, where `freedom` is infinite.
    pvalue : float
        One-sided, for a ratio of 1 against a larger one.
    measured : float
        What was measured, before it was divided.
    """

    value: float
    log_error: float
    freedom: float
    t_freedom: float
    pvalue: float
    measured: float

    def limits(self, alpha: float) -> tuple[float, float]:
        """The limits of its interval, which each err with probability alpha.

        Examples
        --------
        >>> low, high = Ratio(1.0, 0.3, 20.0, math.inf, 0.5, 0.001).limits(0.05)
        >>> round(low, 2), round(high, 2)
        (0.64, 1.84)
        """
        if math.isfinite(self.freedom):
            below = special.chdtri(self.freedom, alpha)
            above = special.chdtri(self.freedom, 1 - alpha)
            high = self.value * self.freedom / above if above > 0 else math.inf
            return float(self.value * self.freedom / below), float(high)
        reach = float(special.stdtrit(self.t_freedom, 1 - alpha)) * self.log_error
        factor = math.exp(min(reach, 700.0))
        return self.value / factor, self.value * factor
