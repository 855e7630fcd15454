"""The expected rank correlation of two scores, and of layers with dead filters."""

from __future__ import annotations

import math

from cwda.arguments import require_between, require_count
from cwda.errors import CwdaError

__all__ = ["expected_spearman", "spearman_with_dead"]


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


def spearman_with_dead(spearman: float, n: int, live: int, zero: int = 0) -> float:
    r"""Spearman's coefficient of a layer with dead filters, from that of the live ones.

    Dead filters have the lowest ranks under every norm, those with weights of 0 only the very
    lowest, all equal. So both criteria rank the groups alike, and differ within them only. With
    T(g) = g^3 - g for a group of g filters,

        Sp = (T(n) - sum_g T(g) (1 - Sp_g) - T(zero)) / (T(n) - T(zero)),

    the sum over the live and the near-dead filters. It is exact for midranks; near-dead filters
    are taken to agree as far as live ones do.

    Parameters
    ----------
    spearman : float
        Coefficient among the live filters.
    n, live, zero : int
        All filters, live ones, and those that are 0.

    Raises
    ------
    CwdaError
        If the numbers do not fit.

    Examples
    --------
    >>> round(spearman_with_dead(0.5, 16, 12, 2), 3)
    0.789
    """
    require_between(spearman, -1, 1, "spearman, a correlation,", inclusive=True)
    require_count(n, 2, "n, the number of filters,")
    require_count(live, 0, "live, the number of live filters,")
    require_count(zero, 0, "zero, the number of filters that are 0,")
    dead = n - live - zero
    if min(live, zero, dead) < 0 or zero == n:
        raise CwdaError(f"{n} filters cannot be {live} live and {zero} zero ones")
    total, of_zero = _cubes(n), _cubes(zero)
    apart = (_cubes(live) + _cubes(dead)) * (1 - spearman)
    return (total - apart - of_zero) / (total - of_zero)


def _cubes(n: int) -> int:
    return n**3 - n
