"""Moments of the log-scores of a layer, measured on halves of the filters and averaged over them.

The live filters are divided at random into two halves, `SPLITS` times. Each half gives a
correlation matrix of the log-scores; the layer's is the mean over all halves on Fisher's scale. It
describes the layer, as every filter enters the mean: filters never seen are predicted worse, as one
half predicts the other (docs/theory.md). Each log-score is winsorised at `CUT` robust standard
deviations from its median, so that single filters do not decide. Winsorised normal variables x, y
of correlation rho have, by Price's theorem,

    d Cov(w(x), w(y)) / d rho = P(|x| < c, |y| < c),

which is integrated and inverted: the correlation is consistent at the normal law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from torch import Tensor

from cwda.brief import brief
from cwda.filters.distances import distance_sums, geometric_median
from cwda.formatting import many
from cwda.layers import ConvLayer
from cwda.numerics.distances.geometry import Geometry
from cwda.numerics.ranking.live import live_filters
from cwda.theory.criteria import CRITERIA

__all__ = [
    "CUT",
    "FEWEST_LIVE",
    "LogScores",
    "ScoreMoments",
    "correlation",
    "importance_scores",
    "robust_correlation",
]

Array = npt.NDArray[np.float64]

#: Log-scores farther from their median than so many robust standard deviations count as so far.
CUT = 2.0

#: A tighter and a wider cut; how much the two disagree says how far from normal the scores are.
TIGHT, WIDE = 1.5, 3.0

#: Random divisions of the filters into halves.
SPLITS = 8

#: With fewer live filters a half has no correlation worth the name.
FEWEST_LIVE = 8

#: A log-score lies at most so far below the median of its layer: a filter in the very point of the
#: median has distance 0 from it.
DEEPEST = 8.0

#: Share of the live filters that may lie below the dead ones where these count as the lowest.
MOST_BELOW = 0.05

#: Nodes of the table of winsorised correlations, and log-norms at which sums of distances are
#: tabulated.
_NODES, _NORMS = 401, 256

#: Correlations of halves that are taken to Fisher's scale stay this far below 1.
_BELOW_ONE = 1e-6

#: Robust standard deviation of the normal law over its median absolute deviation.
_NORMAL_MAD = 1.4826

#: Weights between this and its inverse have squares of squares in float64.
_TINY = 1e-70

#: Scores that vary less than this relative to their size are equal up to rounding.
_EQUAL = 1e-12


@dataclass(frozen=True, eq=False)
class ScoreMoments:
    """Correlations of the log-scores of a layer's live filters, in the order of `CRITERIA`.

    Attributes
    ----------
    correlations : ndarray
        Cross-fitted over filters, 4 x 4; NaN where scores are equal.
    misfit : ndarray
        How far from normal: difference of the cross-fitted correlations at a tight and at a wide
        cut on Fisher's scale, at most 1, 4 x 4.
    measured : ndarray
        Pearson's, of all live filters: measured on the scores that it would predict, 4 x 4.
    n_filters, live, zero : int
        All filters, those that are alive (`live_filters`), and those with weights of 0 only.
    lowest : tuple of bool
        Whether the dead filters have the lowest scores, of each criterion. Far from a strong mean
        filter they have the highest under GM and Fermat.
    """

    correlations: Array
    misfit: Array
    measured: Array
    n_filters: int
    live: int
    zero: int
    lowest: tuple[bool, ...] = (True,) * len(CRITERIA)

    __repr__ = brief

    def reason(self, a: str, b: str) -> str:
        """Why two criteria have no correlation; empty if they have one."""
        if self.live < FEWEST_LIVE:
            return f"{many(self.live, 'live filter')}; {FEWEST_LIVE} are needed"
        i, j = CRITERIA.index(a), CRITERIA.index(b)
        if np.isnan(self.correlations[i, j]) or np.isnan(self.measured[i, j]):
            return f"the live filters have equal scores by {a} or {b}"
        for name in (a, b):
            if not self.lowest[CRITERIA.index(name)]:
                return f"the dead filters are not the lowest by {name}: the mean filter is strong"
        return ""


@dataclass(frozen=True, eq=False)
class LogScores:
    """The scores of one layer, from which moments are taken when a model asks for them.

    Attributes
    ----------
    layer : ConvLayer
        The layer.
    device : torch.device
        Where to compute.
    """

    layer: ConvLayer
    device: torch.device

    __repr__ = brief

    @cached_property
    def moments(self) -> ScoreMoments:
        """Moments of the log-scores; NaN with fewer than `FEWEST_LIVE` live filters.

        Examples
        --------
        >>> rng = torch.Generator().manual_seed(0)
        >>> layer = ConvLayer("conv", torch.randn(64, 16, 3, 3, generator=rng))
        >>> found = LogScores(layer, torch.device("cpu")).moments
        >>> round(float(found.correlations[0, 1]), 2)
        0.97
        """
        filters = self.layer.blocks(self.device).flatten(1)
        largest = filters.abs().max()
        scores = self._scores(filters, largest)
        filters = filters / largest
        logs, zero, lowest = log_scores(filters, scores)
        n, live = len(filters), logs.shape[1]
        if live < FEWEST_LIVE:
            nothing = np.full((4, 4), np.nan)
            return ScoreMoments(nothing, nothing, nothing, n, live, zero, lowest)
        halves = _halves(logs)
        cross, tight, wide = _averaged(halves, (CUT, TIGHT, WIDE))
        np.fill_diagonal(cross, np.where(np.isnan(cross.diagonal()), np.nan, 1.0))
        misfit = np.minimum(np.abs(_fisher(tight) - _fisher(wide)), 1.0)
        return ScoreMoments(cross, misfit, correlation(logs), n, live, zero, lowest)

    def _scores(self, filters: Tensor, largest: Tensor) -> Tensor | None:
        """The four criteria, 4 x n, of filters over their largest weight.

        What GM and Fermat need is that of the filters as they are, which measured scores have
        too; None where float64 does not hold their squares.
        """
        if not _TINY < float(largest) < 1 / _TINY:
            return None
        geometry = cache(lambda: Geometry(filters))
        sums = distance_sums(self.layer, self.device, geometry)
        radii = geometric_median(self.layer, self.device, geometry).distances
        return torch.stack([*_norms(filters), sums, radii]) / largest


def _norms(filters: Tensor) -> tuple[Tensor, Tensor]:
    """l1 and l2 of filters, (..., n, d)."""
    return filters.abs().sum(dim=-1), torch.linalg.vector_norm(filters, dim=-1)


def importance_scores(filters: Tensor) -> Tensor:
    """The four criteria of m layers at once, m x 4 x n in the order of `CRITERIA`.

    GM and Fermat come from the geometry that measured scores use, batched.

    Parameters
    ----------
    filters : Tensor
        m x n x d, float64.

    Examples
    --------
    >>> square = torch.tensor([[[1.0, 1], [1, -1], [-1, 1], [-1, -1]]]).double()
    >>> importance_scores(square)[0, :, 0].round(decimals=3).tolist()
    [2.0, 1.414, 6.828, 1.414]
    """
    geometry = Geometry(filters)
    sums = geometry.distances.sum(dim=2)
    return torch.stack([*_norms(filters), sums, geometry.median.distances], dim=1)


def log_scores(
    filters: Tensor, scores: Tensor | None = None
) -> tuple[Array, int, tuple[bool, ...]]:
    """Log-scores of the live filters, 4 x m, the number of filters that are 0, and `lowest`.

    GM is taken to the scale of log l2: the log of the distance from the mean at which a filter
    would have its sum of distances if it stood at right angles to all others.

    Parameters
    ----------
    filters : Tensor
        n x d, float64.
    scores : Tensor, optional
        Their `importance_scores`, 4 x n, if they are known.
    """
    known = importance_scores(filters[None])[0] if scores is None else scores
    return _log_scores(filters, known.cpu().numpy())


def _log_scores(filters: Tensor, scores: Array) -> tuple[Array, int, tuple[bool, ...]]:
    squares = (filters - filters.mean(dim=0)).square().sum(dim=1).cpu().numpy()
    scores[2] = _equivalent_norm(scores[2], squares)
    alive = live_filters(scores[1])
    with np.errstate(divide="ignore"):
        logs = np.log(scores[:, alive])
    if logs.size:
        logs = np.maximum(logs, np.median(logs, axis=1, keepdims=True) - DEEPEST)
    lowest = tuple(_dead_are_lowest(row, alive) for row in scores)
    return np.nan_to_num(logs, neginf=0.0), int((scores[1] == 0).sum()), lowest


def _dead_are_lowest(scores: Array, alive: npt.NDArray[np.bool_]) -> bool:
    """Whether hardly a live filter lies below the middle one of the dead."""
    if alive.all() or not alive.any():
        return True
    below = float((scores[alive] < np.median(scores[~alive])).mean())
    return below <= MOST_BELOW


def _equivalent_norm(sums: Array, squares: Array) -> Array:
    """The r with sum_k sqrt(r^2 + squares_k) = n / (n - 1) times the sum of distances."""
    typical = float(np.median(squares[squares > 0], axis=0)) if (squares > 0).any() else 1.0
    norms = np.sqrt(typical) * np.exp(np.linspace(-DEEPEST, DEEPEST, _NORMS))
    table = np.sqrt(norms[:, None] ** 2 + squares).sum(axis=1)
    n = len(sums)
    return np.asarray(np.exp(np.interp(sums * n / (n - 1), table, np.log(norms))))


def _halves(logs: Array) -> list[Array]:
    """Both halves of the filters of each division, (SPLITS, 4, m/2) each."""
    m = logs.shape[1]
    order = _divisions(m)
    # Sorted first, the halves do not depend on the order of the filters in the layer.
    logs = logs[:, np.lexsort(logs[::-1])]
    return [np.moveaxis(logs[:, part], 0, 1) for part in (order[:, : m // 2], order[:, m // 2 :])]


@lru_cache(maxsize=64)
def _divisions(m: int) -> npt.NDArray[np.int64]:
    """Random orders of the filters, (SPLITS, m); the same for all layers of so many."""
    rng = np.random.default_rng(m)
    return np.array([rng.permutation(m) for _ in range(SPLITS)])


def _averaged(halves: list[Array], cuts: Sequence[float]) -> Array:
    """Means over the halves on Fisher's scale, one matrix per cut; NaN where no half has one."""
    every = np.concatenate([robust_correlation(half, cuts) for half in halves], axis=1)
    known = np.isfinite(every)
    total = np.where(known, _fisher(every), 0.0).sum(axis=1)
    return np.asarray(np.tanh(total / np.where(known.any(axis=1), known.sum(axis=1), np.nan)))


def _fisher(rho: Array) -> Array:
    return np.arctanh(np.clip(rho, _BELOW_ONE - 1, 1 - _BELOW_ONE))


def correlation(logs: Array) -> Array:
    """Pearson's correlations of rows, (..., c, n) -> (..., c, c); NaN where a row is constant."""
    centred = logs - logs.mean(axis=-1, keepdims=True)
    products = centred @ np.swapaxes(centred, -1, -2)
    norms = np.sqrt(np.diagonal(products, axis1=-2, axis2=-1))
    norms = np.where(norms > _EQUAL * np.sqrt(logs.shape[-1]), norms, np.nan)
    return np.asarray(np.clip(products / norms[..., :, None] / norms[..., None, :], -1.0, 1.0))


def robust_correlation(logs: Array, cuts: Sequence[float] = (CUT,)) -> Array:
    """Correlations of rows winsorised at each of some cuts, (..., c, n) -> (cuts, ..., c, c).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, e = rng.standard_normal((2, 10_000))
    >>> y = 0.8 * x + 0.6 * e
    >>> x[:50] = 30.0
    >>> round(float(robust_correlation(np.stack([x, y]))[0, 0, 1]), 2)
    0.79
    """
    centred = logs - _median(logs)
    size = np.abs(centred)
    scale = _NORMAL_MAD * _median(size)
    # Where half of the scores are equal there is no such scale.
    scale = np.where(scale > _EQUAL, scale, size.max(axis=-1, keepdims=True))
    limits = np.multiply.outer(np.asarray(cuts), scale)
    found = correlation(np.clip(centred, -limits, limits))
    tables = map(_table, cuts)
    return np.stack([np.interp(of_cut, *next(tables)) for of_cut in found])


def _median(x: Array) -> Array:
    """Median of rows, kept as an axis; faster than numpy's, which looks for NaN."""
    n = x.shape[-1]
    middle = np.partition(x, [(n - 1) // 2, n // 2], axis=-1)
    return np.asarray((middle[..., (n - 1) // 2, None] + middle[..., n // 2, None]) / 2)


@lru_cache(maxsize=8)
def _table(cut: float) -> tuple[Array, Array]:
    """Correlations of winsorised normal variables, and those of the variables themselves."""
    rho = np.sin(np.linspace(-np.pi / 2, np.pi / 2, _NODES))
    z, weights = np.polynomial.legendre.leggauss(_NODES // 4)
    z, weights = cut * z, cut * weights * np.exp(-((cut * z) ** 2) / 2) / np.sqrt(2 * np.pi)
    spread = np.sqrt(np.maximum(1 - rho**2, 1e-12))[:, None]
    inside = special.ndtr((cut - rho[:, None] * z) / spread)
    inside -= special.ndtr((-cut - rho[:, None] * z) / spread)
    slope = inside @ weights
    steps = np.diff(rho) * (slope[1:] + slope[:-1]) / 2
    covariance = np.concatenate([[0.0], np.cumsum(steps)])
    covariance -= covariance[_NODES // 2]
    return covariance / covariance[-1], rho
