"""Whether the norms of the filters differ in shape: Var(log(l1 / l2)) against its value."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from cwda.filters.norm_moments import norm_moments
from cwda.filters.ratio import Ratio

__all__ = ["expected_log_ratio_variance", "norm_shape"]

#: Isotropic filters of d weights have (1 - 5 / (3 d)) times the leading term: simulated .815 at
#: d = 9 (this gives .815), .593 at 4 (.583), .955 at 36 (.954), 4e7 / d draws each.
SECOND_ORDER = 5 / 3

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
    moments = norm_moments(blocks)
    # With two dimensions or fewer there is no expansion.
    return moments.log_ratio_variance * (1 - SECOND_ORDER / max(moments.effective_dim, 2.0))


def norm_shape(filters: Tensor, blocks: Tensor) -> Ratio:
    """Var(log(l1 / l2)) of filters over its value under CWDA.

    The interval is that of a variance by the chi-square law, whose degrees of freedom follow from
    the jackknife over filters, n - 1 at most; the value under CWDA, a mean over all positions, is
    taken as known.

    Parameters
    ----------
    filters : Tensor
        n x N x k^2, float64, no filter zero.
    blocks : Tensor
        Covariance of their directions, N x k^2 x k^2, as of `unit_covariance`.

    Examples
    --------
    >>> from cwda.filters.unit_covariance import unit_covariance
    >>> filters = torch.randn(64, 16, 9, generator=torch.Generator().manual_seed(0)).double()
    >>> found = norm_shape(filters, unit_covariance(filters))
    >>> low, high = found.limits(0.05)
    >>> low < 1 < high
    True
    """
    n = len(filters)
    l1 = filters.abs().sum(dim=(1, 2))
    logs = (l1 / torch.linalg.vector_norm(filters, dim=(1, 2))).log().cpu().numpy()
    deviation = logs - logs.mean()
    squares = float(deviation @ deviation)
    without = (squares - n / (n - 1) * deviation**2) / (n - 2)
    expected = expected_log_ratio_variance(blocks)
    variance = squares / (n - 1)
    value = max(variance / expected, SMALLEST) if expected > 0 else math.nan
    spread = 2 / (n - 1)
    if (without > 0).all():
        changes = torch.from_numpy(without).log()
        spread = max(spread, (n - 1) / n * float((changes - changes.mean()).square().sum()))
    freedom = 2 / spread
    pvalue = float(special.chdtrc(freedom, freedom * value))
    return Ratio(value, math.sqrt(spread), freedom, math.inf, pvalue, variance)
