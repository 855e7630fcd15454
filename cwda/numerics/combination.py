"""One verdict from many p-values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["benjamini_hochberg", "cauchy_combination", "holm"]

# The largest float64 below 1; at 1 itself Cauchy's quantile is -inf.
_BELOW_ONE = 1 - 2.0**-53


def cauchy_combination(pvalues: Tensor, dim: int = -1) -> Tensor:
    """Combine p-values along an axis, whatever the dependence among them.

    T = mean of cot(pi p_i) is nearly standard Cauchy in its upper tail under any dependence;
    p = 1/2 - arctan(T)/pi. Both are written so that p as small as 1e-300 keeps its digits
    (cot(pi p) = 1/(pi p) there, and p = 1/(pi T)).

    Parameters
    ----------
    pvalues : Tensor
        Any shape; NaN (a degenerate sample) is left out. A p-value of 1 counts as 1 - 2^-53,
        and one of 0 makes the result 0.
    dim : int
        The axis to combine along.

    Returns
    -------
    Tensor
        float64, without that axis; NaN where every p-value is NaN.

    References
    ----------
    Y. Liu, J. Xie (2020), Cauchy combination test, JASA 115, 393-402.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.combination import cauchy_combination
    >>> cauchy_combination(torch.tensor([0.03, 0.4, float("nan"), 0.7], dtype=torch.float64))
    tensor(0.0884, dtype=torch.float64)
    """
    p = pvalues.double().clamp(max=_BELOW_ONE)
    # Near 1 from the complement, which is exact, as pi p is rounded.
    quantile = torch.where(p <= 0.5, 1 / torch.tan(math.pi * p), -1 / torch.tan(math.pi * (1 - p)))
    mean = torch.nanmean(quantile, dim)
    return torch.atan2(torch.ones_like(mean), mean) / math.pi


def holm(pvalues: npt.ArrayLike) -> npt.NDArray[Any]:
    """Holm's step-down adjusted p-values, which bound the chance of any false rejection.

    NaN stays NaN and does not count as a test. (statsmodels' multipletests does the same, but
    its import takes longer than a whole check.)

    Parameters
    ----------
    pvalues : array_like
        Shape (m,).

    Examples
    --------
    >>> from cwda.numerics.combination import holm
    >>> holm([0.01, 0.04, float("nan"), 0.03])
    array([0.03, 0.06,  nan, 0.06])
    """
    adjusted, known, order = _ordered(pvalues)
    m = len(order)
    stepped = np.maximum.accumulate(known[order] * np.arange(m, 0, -1))
    return _unordered(adjusted, known, order, stepped)


def benjamini_hochberg(pvalues: npt.ArrayLike) -> npt.NDArray[Any]:
    """Benjamini and Hochberg's adjusted p-values, which bound the false discovery rate.

    NaN stays NaN and does not count as a test; on statsmodels see `holm`.

    Parameters
    ----------
    pvalues : array_like
        Shape (m,).

    Examples
    --------
    >>> from cwda.numerics.combination import benjamini_hochberg
    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03])
    array([0.03, 0.04,  nan, 0.04])
    """
    adjusted, known, order = _ordered(pvalues)
    m = len(order)
    scaled = known[order] * m / np.arange(1, m + 1)
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _unordered(adjusted, known, order, stepped)


def _ordered(
    pvalues: npt.ArrayLike,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    p = np.array(pvalues, dtype=np.float64)
    known = p[~np.isnan(p)]
    return p, known, np.argsort(known)


def _unordered(
    adjusted: npt.NDArray[Any],
    known: npt.NDArray[Any],
    order: npt.NDArray[Any],
    stepped: npt.NDArray[Any],
) -> npt.NDArray[Any]:
    known[order] = np.minimum(stepped, 1.0)
    adjusted[~np.isnan(adjusted)] = known
    return adjusted
