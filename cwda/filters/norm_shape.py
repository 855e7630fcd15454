"""Whether the norms of the filters differ in shape: Var(log(l1 / l2)) against its value."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from cwda.errors import WeightsError
from cwda.filters.norm_moments import NormMoments, norm_moments
from cwda.filters.ratio import Ratio
from cwda.numerics.jackknife import jackknife_variance

__all__ = ["expected_log_ratio_variance", "norm_shape"]

#: Isotropic filters of d weights have (1 - 5 / (3 d)) times the leading term: simulated .815 at
#: d = 9 (this gives .815), .593 at 4 (.583), .955 at 36 (.954), 4e7 / d draws each.
SECOND_ORDER = 5 / 3

#: With fewer effective dimensions the value under CWDA is not known: of normal filters with smooth
#: kernels the ratio is 1.04 at 4.1, 1.15 at 3.2, 1.52 at 2.4 (1e5 filters each).
FEWEST_DIMENSIONS = 3.5

#: Smaller ratios, such as those of filters with weights of one size, have no useful logarithm.
SMALLEST = 1e-3


def expected_log_ratio_variance(blocks: Tensor) -> float:
    """Var(log(l1 / l2)) of a normal filter, v1 + v2 - 2 c less what is of second order in 1 / d.

    Parameters
    ----------
    blocks : Tensor
        The blocks of its covariance matrix, N x k^2 x k^2.

    Examples
    --------
    >>> round(144 * expected_log_ratio_variance(torch.eye(9).expand(16, 9, 9)), 4)
    0.07
    """
    return _expected(norm_moments(blocks))


def _expected(moments: NormMoments) -> float:
    # With two dimensions or fewer there is no expansion.
    return moments.log_ratio_variance * (1 - SECOND_ORDER / max(moments.effective_dim, 2.0))


def norm_shape(l1: Tensor, blocks: Tensor) -> Ratio:
    """Var(log(l1 / l2)) of filters over its value under CWDA.

    The interval is that of a variance by the chi-square law, whose degrees of freedom follow from
    the jackknife over filters, n - 1 at most; the value under CWDA, a mean over all positions, is
    taken as known.

    Parameters
    ----------
    l1 : Tensor
        l1 of filters of one l2, (n,), float64.
    blocks : Tensor
        Covariance of their directions, N x k^2 x k^2, as of `unit_covariance`.

    Raises
    ------
    WeightsError
        If the directions have so few effective dimensions that the value is not known.

    Examples
    --------
    >>> from cwda.filters.unit_covariance import unit_covariance
    >>> from cwda.filters.unit_sums import filter_norms, unit_sums
    >>> filters = torch.randn(64, 16, 9, generator=torch.Generator().manual_seed(1)).double()
    >>> sums = unit_sums(filters, filter_norms(filters.flatten(1)))
    >>> found = norm_shape(sums.l1, unit_covariance(sums))
    >>> low, high = found.limits(0.05)
    >>> low < 1 < high
    True
    """
    moments = norm_moments(blocks)
    if moments.effective_dim < FEWEST_DIMENSIONS:
        raise WeightsError(
            f"effective dimension {moments.effective_dim:.1f}: below {FEWEST_DIMENSIONS:g} it is "
            "not known how much shapes differ by chance"
        )
    n = len(l1)
    logs = l1.log().cpu().numpy()
    deviation = logs - logs.mean()
    squares = float(deviation @ deviation)
    without = (squares - n / (n - 1) * deviation**2) / (n - 2)
    expected = _expected(moments)
    variance = squares / (n - 1)
    value = max(variance / expected, SMALLEST) if expected > 0 else math.nan
    spread = 2 / (n - 1)
    if (without > 0).all():
        spread = max(spread, float(jackknife_variance(torch.from_numpy(without).log())))
    freedom = 2 / spread
    pvalue = float(special.chdtrc(freedom, freedom * value))
    return Ratio(value, math.sqrt(spread), freedom, math.inf, pvalue, variance)
