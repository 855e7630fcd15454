"""How far the values of a sample lie apart, relative to their size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["NORMAL_IQR", "Spread", "constant", "spread"]

#: Interquartile range of the standard normal law.
NORMAL_IQR = 1.3489795003921634

# Values closer than this, relative to the largest, differ by rounding alone.
_ROUNDING = 1e-12


class Spread(NamedTuple):
    """Location and relative dispersion of samples x_1 .. x_n, one a row.

    All but `mean` and `sd` do not change when the sample is multiplied by a positive number.

    Attributes
    ----------
    mean, sd : Tensor
        Mean, and SD with n - 1, in the units of the values.
    cv : Tensor
        Coefficient of variation, sd / mean; NaN unless the mean is positive.
    robust_cv : Tensor
        (q75 - q25) / (1.349 median), which is the CV of a narrow normal law; NaN unless the
        median is positive.
    q90_q10 : Tensor
        Ratio of the quantiles (linear between order statistics); NaN unless q10 is positive.
    gini : Tensor
        Mean of |x_i - x_j| over i != j, relative to twice the mean: 0 if all are equal, 1 if
        only one is not 0. NaN if a value is negative or all are 0.
    """

    mean: Tensor
    sd: Tensor
    cv: Tensor
    robust_cv: Tensor
    q90_q10: Tensor
    gini: Tensor


def spread(rows: Tensor) -> Spread:
    """Dispersion of each row.

    Parameters
    ----------
    rows : Tensor
        Shape (..., n), any real dtype, computed in float64. A row with a NaN, and any row if
        n < 2, gives NaN throughout, save for the mean of one value.

    Returns
    -------
    Spread
        Each of shape (...), float64.

    References
    ----------
    Glasser (1962), Variance formulas for the mean difference and coefficient of concentration,
    JASA 57, 648-654: with n - 1 the mean difference is unbiased.

    Examples
    --------
    The two layers of Huang et al. (2021): norms that tell filters apart, and norms that do not.

    >>> import torch
    >>> found = spread(torch.tensor([[0.9, 0.8, 0.4, 0.01], [0.91, 0.92, 0.93, 0.92]]).double())
    >>> found.cv.round(decimals=4).tolist(), found.gini.round(decimals=4).tolist()
    ([0.7717, 0.0089], [0.485, 0.0054])
    """
    ordered = rows.double().sort(dim=-1).values
    n = ordered.shape[-1]
    mean = ordered.mean(dim=-1)
    if n < 2:
        missing = torch.full_like(mean, torch.nan)
        return Spread(mean, *[missing] * 5)
    # The range, not the sum of squares, tells equal values: their SD is rounding, not 0.
    sd = ordered.std(dim=-1, correction=1).masked_fill(ordered[..., 0] == ordered[..., -1], 0.0)
    levels = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64, device=rows.device)
    q10, q25, q50, q75, q90 = torch.quantile(ordered, levels, dim=-1)
    weights = 2 * torch.arange(1, n + 1, dtype=torch.float64, device=rows.device) - n - 1
    # Taken from the lowest value, so that equal values give exactly 0.
    difference = (ordered - ordered[..., :1]) @ weights / (n * (n - 1))
    return Spread(
        mean,
        sd,
        cv=_ratio(sd, mean),
        robust_cv=_ratio(q75 - q25, NORMAL_IQR * q50),
        q90_q10=_ratio(q90, q10),
        gini=_ratio(difference, mean).where(ordered[..., 0] >= 0, torch.nan),
    )


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return (above / below).where(below > 0, torch.nan)


def constant(rows: Tensor) -> Tensor:
    """Whether the values of each row are equal but for rounding, bool, shape (...).

    Examples
    --------
    >>> import torch
    >>> constant(torch.tensor([[0.3, 0.1 + 0.2], [0.3, 0.31]]).double()).tolist()
    [True, False]
    """
    lowest, highest = rows.aminmax(dim=-1)
    return highest - lowest <= _ROUNDING * torch.maximum(lowest.abs(), highest.abs())
