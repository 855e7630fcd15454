"""The Anderson-Darling test of normality, mean and variance estimated."""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.numerics.normality.standard_normal import Tails

__all__ = ["adjusted_statistic", "anderson_darling_pvalue", "weighted_log_sum"]

# Beyond this the tail probability is no longer a normal float64 number.
_UNDERFLOW = 37.0


def weighted_log_sum(z: Tensor, normal: Tails, before: int, n: int) -> Tensor:
    """The part of the Anderson-Darling sum that some columns of sorted rows contribute.

    sum_i (2i - 1) log Phi(z_i) + (2(n - i) + 1) log(1 - Phi(z_i)), from which
    A^2 = -n - (sum over all columns) / n.

    Parameters
    ----------
    z : Tensor
        Standardised values, shape (m, c), columns before + 1, ..., before + c of sorted rows.
    normal : Tails
        `tails` of z; overwritten, as nothing else needs them after their logarithms.
    before, n : int
        Number of columns before these, and in all.
    """
    rank = torch.arange(before + 1, before + z.shape[1] + 1, dtype=z.dtype, device=z.device)
    extreme = torch.maximum(-z[:, 0], z[:, -1])
    if bool((extreme > _UNDERFLOW).any()):  # possible only for n > 1370; slower, but never -inf
        log_lower, log_upper = torch.special.log_ndtr(z), torch.special.log_ndtr(-z)
    else:
        log_lower, log_upper = normal.lower.log_(), normal.upper.log_()
    total: Tensor = log_lower @ (2 * rank - 1) + log_upper @ (2 * (n - rank) + 1)
    return total


def adjusted_statistic(a_squared: Tensor, n: int) -> Tensor:
    """A*^2 = A^2 (1 + 0.75/n + 2.25/n^2), whose law depends little on n."""
    return a_squared * (1 + 0.75 / n + 2.25 / n**2)


def anderson_darling_pvalue(adjusted: Tensor) -> Tensor:
    """p-value of the adjusted statistic where mean and variance are estimated.

    The four exponential formulas of D'Agostino and Stephens (1986, table 4.9); 0 beyond
    A*^2 = 13 (p < 5e-31), where the quadratic would turn up again. NaN stays NaN.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.anderson_darling import anderson_darling_pvalue
    >>> anderson_darling_pvalue(torch.tensor([0.15, 0.5, 0.752, 1e6], dtype=torch.float64))
    tensor([0.9631, 0.2087, 0.0503, 0.0000], dtype=torch.float64)
    """
    a = adjusted
    square = a * a
    pvalue = torch.exp(1.2937 - 5.709 * a + 0.0186 * square)
    pvalue = torch.where(a < 0.6, torch.exp(0.9177 - 4.279 * a - 1.38 * square), pvalue)
    low = -torch.expm1(-8.318 + 42.796 * a - 59.938 * square)
    pvalue = torch.where(a < 0.34, low, pvalue)
    lowest = -torch.expm1(-13.436 + 101.14 * a - 223.73 * square)
    pvalue = torch.where(a < 0.2, lowest, pvalue)
    return torch.where(a > 13, 0.0, pvalue)
