"""Which filters of a layer are alive: one rule for all that leaves dead filters out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["NEAR_DEAD", "live_filters"]

#: A filter is near-dead if its norm is below this share of the median norm of the live filters.
NEAR_DEAD = 0.05

#: The search begins with the norm that this share of the filters exceeds.
LARGEST = 0.05


def live_filters(norms: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which filters are alive, from their norms.

    The live filters are those whose norm is at least `NEAR_DEAD` times the median norm *of the
    live filters*. Several sets may fit that description; this is the one that is reached from
    above. The first reference is the norm that one filter in twenty (at least one) exceeds, so
    that neither a few very large filters nor up to 95 % of dead ones mislead it. Then live
    filters and their median are found in turn until nothing changes.

    Parameters
    ----------
    norms : array_like
        Norms of the filters, (n,), finite and not negative.

    Returns
    -------
    ndarray of bool
        (n,); all False if all norms are 0.

    Examples
    --------
    >>> norms = [1.0, 0.8, 0.01, 0.02, 0.0, 0.01, 0.0, 0.0, 0.02, 1.2]
    >>> live_filters(norms).nonzero()[0].tolist()
    [0, 1, 9]
    """
    x = np.asarray(norms, dtype=np.float64)
    positive = np.sort(x[x > 0])[::-1]
    if not positive.size:
        return np.zeros(len(x), dtype=bool)
    exceeding = max(1, math.ceil(LARGEST * len(positive)))
    reference = float(positive[min(exceeding, len(positive) - 1)])
    while True:
        # The live are the first of those sorted, and so is their median found.
        n = int(np.searchsorted(-positive, -NEAR_DEAD * reference, side="right"))
        median = float(positive[(n - 1) // 2]) / 2 + float(positive[n // 2]) / 2
        if median >= reference:
            alive: npt.NDArray[np.bool_] = x >= NEAR_DEAD * reference
            return alive
        reference = median
