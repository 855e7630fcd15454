"""P(swap) of a criterion from data: would other images rank the filters the same way?

No theory is needed: the images are parted into halves, and each half ranks the filters. Let P be
the share of pairs of a pruned and a kept filter of one half that the other half orders the other
way, ties one half each. It belongs to half as many images. With R the reliability at which normal
scores show that share (`cwda.theory.swaps.reliability_of_swaps`), all images have 2 R / (1 + R), by
Spearman and Brown's formula, and the P(swap) that belongs to it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.scoring.error_bars.disattenuation import spearman_brown
from cwda.theory.swaps import reliability_of_swaps, swap_probability

__all__ = ["SwapsOfHalves", "share_of_swaps", "swaps_of_halves"]

Array = npt.NDArray[np.float64]


class SwapsOfHalves(NamedTuple):
    """P(swap) over draws of as many images as both halves have, with its interval."""

    swap: float
    low: float
    high: float


def share_of_swaps(scores: Array, fresh: Array, pruned: int) -> float:
    """Share of the pairs across the threshold of `scores` that `fresh` orders the other way.

    Parameters
    ----------
    scores, fresh : ndarray
        Two scores of each filter, (n,); ties of `fresh` count one half.
    pruned : int
        How many filters are pruned, 1 to n - 1.

    Examples
    --------
    >>> share_of_swaps(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]), 2)
    0.25
    """
    order = np.argsort(scores, kind="stable")
    out, kept = np.sort(fresh[order[:pruned]]), fresh[order[pruned:]]
    not_above = np.searchsorted(out, kept, "left") + np.searchsorted(out, kept, "right")
    return float(1 - not_above.mean() / (2 * pruned))


def swaps_of_halves(halves: Array, pruned: int, factor: float, level: float) -> SwapsOfHalves:
    """P(swap) over fresh images, from the scores by two halves of them.

    Parameters
    ----------
    halves : ndarray
        The scores of the filters by each half, splits x 2 x n; over several ways to split the
        images the share of swaps is averaged.
    pruned : int
        Number of filters pruned, 1 to n - 1.
    factor : float
        How many times as many images as a half there are.
    level : float
        Confidence level of the interval, on Fisher's scale of the reliability of a half.

    References
    ----------
    Spearman (1910), Brown (1910): the reliability of a test of several times the length.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> halves = rng.normal(size=256) + 0.5 * rng.normal(size=(1, 2, 256))
    >>> [round(each, 2) for each in swaps_of_halves(halves, 128, 2, 0.95)]
    [0.07, 0.04, 0.1]
    """
    n = halves.shape[2]
    shares = [
        share_of_swaps(scores, fresh, pruned)
        for a, b in halves
        for scores, fresh in ((a, b), (b, a))
    ]
    share = sum(shares) / len(shares)
    # Of few pairs none may have swapped by luck: for the interval it is half a pair at least.
    seen = np.array([share, max(share, 0.5 / (pruned * (n - pruned)))])
    estimate, half = map(float, reliability_of_swaps(pruned / n, seen))
    variance = _variance(half, pruned / n) / max(n - 3, 1)
    radius = float(special.ndtri((1 + level) / 2)) * math.sqrt(variance)
    z = np.arctanh(min(half, 1 - 1e-12)) + radius * np.array([1.0, -1.0])
    halves_show = [estimate, *np.tanh(np.clip(z, 0.0, None))]
    whole = np.array([spearman_brown(each, factor) for each in halves_show])
    swap, low, high = map(float, swap_probability(pruned / n, whole))
    return SwapsOfHalves(swap, min(low, swap), high)


def _variance(reliability: float, ratio: float) -> float:
    """Variance of Fisher's z of a reliability that is read off one split, times n - 3.

    A formula for what 250 draws of 16 to 256 normal scores show at ratios of .1 to .75 and
    reliabilities of .2 to .95. It runs from 1.5 to 10, where a rank correlation has 1.06.
    """
    return 0.75 * (1 + 3 * reliability**4) / math.sqrt(ratio * (1 - ratio))
