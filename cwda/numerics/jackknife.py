"""The jackknife: how far an estimate scatters, from its values without each item in turn.

With theta(-i) the estimate without item i of n, the variance of the estimate is

    (n - 1) / n sum_i (theta(-i) - mean theta(-i))^2,

and its interval has Student's quantiles with n - 1 degrees of freedom (Tukey 1958). What is left
out may be a filter, a layer or a part of the images; where it is a group of several, groups weigh
by their sizes.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit
from torch import Tensor

__all__ = ["grouped_jackknife_variance", "jackknife_radius", "jackknife_variance"]

Array = npt.NDArray[np.float64]
Values = TypeVar("Values", Array, Tensor)


def jackknife_variance(without: Values) -> Values:
    """The variance of an estimate from its values without each item.

    Parameters
    ----------
    without : ndarray or Tensor
        Items x any shape.

    Examples
    --------
    That of a mean is its squared standard error:

    >>> x = np.array([1.0, 2.0, 4.0, 9.0])
    >>> float(jackknife_variance((x.sum() - x) / 3)), float(x.var(ddof=1) / 4)
    (3.16..., 3.16...)
    """
    n = len(without)
    variance: Values = (n - 1) / n * ((without - without.mean(0)) ** 2).sum(0)
    return variance


def grouped_jackknife_variance(value: Tensor, left_out: Tensor, sizes: Tensor) -> Tensor:
    """The variance of an estimate from those without one group each, groups of any sizes.

    Parameters
    ----------
    value : Tensor
        The estimate from all items, of any shape.
    left_out : Tensor
        Groups x that shape.
    sizes : Tensor
        Share of the items in each group.

    References
    ----------
    Busing, Meijer and van der Leeden (1999), Delete-m jackknife for unequal m, Statistics and
    Computing 9, 3-8.
    """
    h = (1 / sizes).view(-1, *[1] * value.ndim)
    pseudo = h * value - (h - 1) * left_out
    return ((pseudo - pseudo.mean(0)) ** 2 / (h - 1)).mean(0)


def jackknife_radius(variance: float, n: int, level: float) -> float:
    """Half the width of the interval of Student's t, n being the number left out one by one.

    Examples
    --------
    >>> round(jackknife_radius(1.0, 5, 0.95), 3)
    2.776
    """
    return float(stdtrit(n - 1, (1 + level) / 2)) * math.sqrt(variance)
