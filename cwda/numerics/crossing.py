"""Where a condition that holds below some point stops holding, by bisection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["crossing"]

Array = npt.NDArray[np.float64]

# Halvings of the bracket at most: to the last bit of float64, whatever its ends.
_HALVINGS = 80


def crossing(
    short: Callable[[Array], npt.ArrayLike], low: npt.ArrayLike, high: npt.ArrayLike
) -> Array:
    """The points below which `short` is true and above which it is false, many at once.

    Parameters
    ----------
    short : callable
        Array of points to an array of booleans, both of the shape of `low` and `high`.
    low, high : array_like
        Points on the two sides.

    Examples
    --------
    >>> crossing(lambda x: x**2 < [4.0, 9.0], [0.0, 0.0], [10.0, 10.0])
    array([2., 3.])
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = short(middle)
        before = low, high
        low, high = np.where(below, middle, low), np.where(below, high, middle)
        if np.array_equal(before, (low, high)):  # no number is left between them
            break
    return np.asarray((low + high) / 2)
