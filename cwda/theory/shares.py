"""Global pruning, predicted: what one ranking over all layers takes from each of them.

Layer l has n_l filters whose scores have the law F_l (`score_law`). Of N filters K go; the
threshold T solves sum_l n_l F_l(T) = K, and layer l loses the share p_l = F_l(T).

Mean scores are sqrt(2/pi) sigma d under l1 but sigma sqrt(d) under l2: the layers stand in
different orders as soon as d differs, and where their means differ by more than the scores
within a layer, whole layers go first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.arguments import as_numbers, require_between, require_type
from cwda.brief import brief
from cwda.errors import CwdaError
from cwda.numerics.crossing import crossing
from cwda.numerics.proportions import binomial_quantile
from cwda.numerics.ranking.bivariate_normal import bivariate_normal_cdf
from cwda.theory.score_law import ScoreLaw

__all__ = [
    "DANGER",
    "NORMALISATIONS",
    "Shares",
    "between_layers",
    "predict_overlap",
    "predict_shares",
]

Array = npt.NDArray[np.float64]

#: A layer is in danger where the probability that all its filters go reaches this.
DANGER = 0.05

#: Origin and unit in which the scores of a layer are ranked.
NORMALISATIONS: dict[str | None, Callable[[ScoreLaw], tuple[float, float]]] = {
    None: lambda law: (0.0, 1.0),
    "mean": lambda law: (0.0, law.mean),
    "zscore": lambda law: (law.mean, law.sd),
}

# Filters by which a limit may miss a whole number of them.
_ROUNDING = 1e-9

# Standard normal quantiles within which a threshold is sought.
_TAIL = 1e-15


@dataclass(frozen=True, eq=False)
class Shares:
    """Predicted loss of each layer at each of several numbers of filters pruned.

    Attributes
    ----------
    threshold : ndarray
        T, (numbers,), in normalised scores.
    share : ndarray
        p_l, numbers x layers.
    low, high : ndarray
        Interval for the share of the n_l filters of one network: shares of whole filters.
    emptied : ndarray
        Probability that the layer loses all its filters, p_l^n_l.
    """

    threshold: Array
    share: Array
    low: Array
    high: Array
    emptied: Array

    __repr__ = brief


def predict_shares(
    laws: Sequence[ScoreLaw],
    n_filters: Sequence[int],
    pruned: Sequence[int],
    *,
    normalise: str | None = None,
    level: float = 0.95,
) -> Shares:
    """Shares that the layers lose in one global ranking.

    The number lost by layer l is binomial at a given threshold; the threshold itself follows
    the scores, so that K filters go in all. With v_l = n_l p_l (1 - p_l) and w_l the layer's
    share of the density of scores at T, the variance becomes
    (1 - w_l)^2 v_l + w_l^2 sum_{k != l} v_k, and the binomial quantiles are drawn in to match it,
    then moved outwards to whole filters. The interval leaves out the uncertainty of the laws.

    Parameters
    ----------
    laws : sequence of ScoreLaw
        One per layer.
    n_filters : sequence of int
        n_l.
    pruned : sequence of int
        Numbers K of filters that go, 0 to sum n_l.
    normalise : {None, "mean", "zscore"}
        How scores of a layer are scaled before they are ranked with those of others.
    level : float
        Confidence level of the intervals.

    Raises
    ------
    CwdaError
        If there is no layer, a number is impossible or the normalisation unknown.

    Examples
    --------
    Layer b has scores 20 % above those of a, each with a CV of 10 %:

    >>> a, b = ScoreLaw(0.0, 0.0, 0.01), ScoreLaw(math.log(1.2), 0.0, 0.01)
    >>> shares = predict_shares([a, b], [64, 64], [64])
    >>> shares.share.round(3).tolist(), shares.low.round(3).tolist()
    ([[0.819, 0.181]], [[0.734, 0.109]])
    """
    if not isinstance(normalise, str | None) or normalise not in NORMALISATIONS:
        names = ", ".join(repr(name) for name in NORMALISATIONS)
        raise CwdaError(f"no theory of scores normalised by {normalise!r}; known are {names}")
    require_between(level, 0, 1, "level")
    laws = list(laws) if isinstance(laws, Iterable) else [laws]
    for law in laws:
        require_type(law, ScoreLaw, "a law of scores, such as score_law gives,")
    n, counts = as_numbers(n_filters, "numbers of filters", 1), as_numbers(pruned, "numbers pruned")
    if n.shape != (len(laws),) or counts.ndim != 1:
        raise CwdaError(
            f"{len(laws)} laws need as many numbers of filters, and a list of numbers pruned"
        )
    total = n.sum()
    if not len(laws) or not ((counts >= 0) & (counts <= total)).all():
        raise CwdaError(f"of {int(total)} filters in {len(laws)} layers, {pruned} cannot go")
    places = [NORMALISATIONS[normalise](law) for law in laws]

    def shares(threshold: Array) -> Array:
        columns = [
            law.cdf(origin + unit * threshold)
            for law, (origin, unit) in zip(laws, places, strict=True)
        ]
        return np.stack(columns, axis=1)

    lowest, highest = _bracket(laws, places)
    threshold = crossing(
        lambda t: shares(t) @ n < counts,
        np.full_like(counts, lowest),
        np.full_like(counts, highest),
    )
    share = shares(threshold)
    share[counts == 0], share[counts == total] = 0.0, 1.0
    step = 1e-5 * np.abs(threshold)
    density = np.clip(shares(threshold + step) - shares(threshold - step), 0.0, None) * n
    all_density = density.sum(axis=1, keepdims=True)
    weight = np.divide(density, all_density, out=np.zeros_like(density), where=all_density > 0)
    binomial = n * share * (1 - share)
    others = binomial.sum(axis=1, keepdims=True) - binomial
    variance = (1 - weight) ** 2 * binomial + weight**2 * others
    narrow = np.sqrt(np.divide(variance, binomial, out=np.ones_like(share), where=binomial > 0))
    limits = [
        share + narrow * (binomial_quantile(tail, n, share) / n - share)
        for tail in ((1 - level) / 2, (1 + level) / 2)
    ]
    # A layer loses whole filters: the limits are moved outwards to numbers of them.
    low = np.floor(n * np.clip(limits[0], 0.0, 1.0) + _ROUNDING) / n
    high = np.ceil(n * np.clip(limits[1], 0.0, 1.0) - _ROUNDING) / n
    return Shares(threshold, share, low, high, share**n)


def _bracket(laws: Sequence[ScoreLaw], places: Sequence[tuple[float, float]]) -> Array:
    ends = np.array([_TAIL, 1 - _TAIL])
    reach = np.array(
        [
            (law.quantile(ends) - origin) / unit
            for law, (origin, unit) in zip(laws, places, strict=True)
        ]
    )
    return np.array([reach[:, 0].min(), reach[:, 1].max()])


def predict_overlap(
    share_a: Array, share_b: Array, rho: Sequence[float] | Array, n_filters: Sequence[int]
) -> Array:
    """Jaccard index of the filters that two criteria prune from the network.

    The expected number pruned by both is sum_l n_l Phi_2(z_a, z_b; rho_l), z = Phi^-1(share),
    as scores are increasing functions of latents that are jointly normal.

    Parameters
    ----------
    share_a, share_b : ndarray
        Shares lost under each criterion, numbers x layers, as in `Shares`.
    rho : sequence of float
        Correlation of the two latents in each layer (`log_score_correlation`).
    n_filters : sequence of int
        n_l.

    Returns
    -------
    ndarray
        (numbers,); NaN where nothing is pruned.

    Raises
    ------
    CwdaError
        If a share or correlation is impossible, or the shapes do not fit.

    Examples
    --------
    Independent criteria that prune half of one layer have a third of their filters in common:

    >>> half = np.array([[0.5]])
    >>> predict_overlap(half, half, [0.0], [64]).round(4).tolist()
    [0.3333]
    """
    share_a, share_b = as_numbers(share_a, "shares", 0, 1), as_numbers(share_b, "shares", 0, 1)
    n, rho = as_numbers(n_filters, "numbers of filters", 1), as_numbers(rho, "correlations", -1, 1)
    if share_a.ndim != 2 or not share_a.shape == share_b.shape == (len(share_a), *n.shape):
        raise CwdaError("shares are arrays, numbers pruned x layers, with one n_l for each layer")
    if rho.shape != n.shape:
        raise CwdaError(f"{n.size} layers need as many correlations, not {rho.size}")
    both = bivariate_normal_cdf(special.ndtri(share_a), special.ndtri(share_b), rho) @ n
    either = (share_a + share_b) @ n - both
    return np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)


def between_layers(mean: Sequence[float], sd: Sequence[float], n: Sequence[int]) -> float:
    """Share of the variance of all scores that lies between layers, 0 to 1.

    Above 1/2 the layers' means differ by more (SD) than the scores within a layer: whole layers
    go first.

    Parameters
    ----------
    mean, sd : sequence of float
        Of the scores in each layer.
    n : sequence of int
        Filters in each layer, the weights.

    Examples
    --------
    >>> round(between_layers([1.0, 2.0], [0.1, 0.2], [64, 64]), 3)
    0.909
    """
    average = np.average(mean, weights=n)
    between = float(np.average((np.asarray(mean) - average) ** 2, weights=n))
    within = float(np.average(np.asarray(sd) ** 2, weights=n))
    return between / (between + within) if between + within > 0 else math.nan
