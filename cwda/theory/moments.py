"""The expected rank correlation of two scores."""

from __future__ import annotations

import math

from cwda.arguments import require_between, require_count

__all__ = ["expected_spearman"]


def expected_spearman(rho: float, n: int) -> float:
    """Expected Spearman coefficient of n draws of a bivariate normal law.

    6 / (pi (n + 1)) * (asin(rho) + (n - 2) asin(rho / 2)), which tends to (6/pi) asin(rho/2).

    Parameters
    ----------
    rho : float
        Pearson correlation of the (log-)scores, -1 to 1.
    n : int
        Number of filters, 2 or more.

    Raises
    ------
    CwdaError
        If rho or n is impossible.

    References
    ----------
    Moran (1948), Rank correlation and product-moment correlation, Biometrika 35, 203-206.

    Examples
    --------
    >>> round(expected_spearman(math.sqrt(1 / (math.pi - 2)), 10**9), 3)
    0.93
    """
    require_between(rho, -1, 1, "rho, a correlation,", inclusive=True)
    require_count(n, 2, "n, the number of filters,")
    expected = 6 / (math.pi * (n + 1)) * (math.asin(rho) + (n - 2) * math.asin(rho / 2))
    return min(max(expected, -1.0), 1.0)  # rounding may pass the ends
