"""Shares, quantiles and means of layers that come in networks, and networks in families.

Layers of one network resemble each other, and so do networks of one family: trained by the same
people, on the same task, often from one another. So the families are the clusters that are
sampled, and every interval here is one over clusters. Within a cluster nothing is assumed
independent.

With weights w_i of the rows, summed to 1, and G clusters c, a share or mean m has the linearised
variance of a ratio

    v = G / (G - 1) sum_c (sum_{i in c} w_i (y_i - m))^2,

and, since clusters differ in weight W_c, about 1 / sum_c W_c^2 - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.numerics.proportions import clopper_pearson_interval

__all__ = ["Estimate", "Sample"]

Array = npt.NDArray[np.float64]

_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN limits where one cluster alone is seen."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows with weights, in clusters.

    Attributes
    ----------
    weights : ndarray
        What each row counts, summed to 1.
    clusters : ndarray of int
        The cluster of each row, numbered from 0 without a gap.
    level : float
        Confidence of the intervals.
    """

    weights: Array
    clusters: npt.NDArray[np.intp]
    level: float

    @classmethod
    def of(cls, weights: npt.ArrayLike, clusters: npt.ArrayLike, level: float) -> Sample:
        """Rows with weights of any sum, in clusters of any names."""
        given = np.asarray(weights, dtype=np.float64)
        numbered = np.unique(np.asarray(clusters), return_inverse=True)[1]
        return cls(given / given.sum(), numbered, level)

    @property
    def effective_clusters(self) -> float:
        """How many clusters of one weight stand for these: 1 over the sum of squared weights."""
        return 1 / float((np.bincount(self.clusters, self.weights) ** 2).sum())

    @property
    def _freedom(self) -> float:
        """Degrees of freedom; 0 where one cluster alone is seen."""
        several = int(self.clusters.max()) > 0
        return max(self.effective_clusters - 1, 1.0) if several else 0.0

    def _variance(self, values: Array, mean: float) -> float:
        """Linearised variance of a weighted mean, over clusters."""
        parts = np.bincount(self.clusters, self.weights * (values - mean))
        return float((parts**2).sum()) * len(parts) / max(len(parts) - 1, 1)

    def share(self, hits: npt.ArrayLike) -> Estimate:
        """Share of the rows that have something, with an interval for rare ones too.

        Clopper and Pearson's limits for so many independent rows as would have the variance v,
        which are fewer the more clusters differ: p (1 - p) / v, reduced by the square of normal
        over t quantile. Where no row has it, or all have, v says nothing, and the effective
        number of clusters stands in.

        References
        ----------
        Korn and Graubard (1998), Confidence intervals for proportions with small expected number
        of positive counts estimated from survey data, Survey Methodology 24.
        """
        values = np.asarray(hits, dtype=np.float64)
        share = min(max(float(self.weights @ values), 0.0), 1.0)
        if share < _NO_SPREAD or share > 1 - _NO_SPREAD:
            share = float(round(share))
        if not self._freedom:
            return Estimate(share, math.nan, math.nan)
        variance = self._variance(values, share)
        trials = self.effective_clusters
        if 0 < share < 1 and variance > _NO_SPREAD * share * (1 - share):
            trials = share * (1 - share) / variance
        trials = min(trials, len(values)) / self._excess() ** 2
        low, high = clopper_pearson_interval(
            np.array([share * trials]), np.array([trials]), self.level
        )
        return Estimate(share, float(low[0]), float(high[0]))

    def _excess(self) -> float:
        """How much wider than normal an interval has to be, with so few clusters."""
        q = (1 + self.level) / 2
        return float(special.stdtrit(self._freedom, q) / special.ndtri(q))

    def mean(self, values: npt.ArrayLike, *, positive: bool = False) -> Estimate:
        """Mean with its t interval; of what is `positive`, on the scale of logarithms."""
        given = np.asarray(values, dtype=np.float64)
        mean = float(self.weights @ given)
        if not self._freedom:
            return Estimate(mean, math.nan, math.nan)
        quantile = float(special.stdtrit(self._freedom, (1 + self.level) / 2))
        radius = quantile * math.sqrt(self._variance(given, mean))
        if positive and mean > 0:
            factor = math.exp(radius / mean)
            return Estimate(mean, mean / factor, mean * factor)
        return Estimate(mean, mean - radius, mean + radius)

    def quantile(self, values: npt.ArrayLike, q: float) -> Estimate:
        """Quantile of the rows: the limits are the quantiles at those of the share below it.

        References
        ----------
        Woodruff (1952), Confidence intervals for medians and other position measures, JASA 47.
        """
        given = np.asarray(values, dtype=np.float64)
        order = np.argsort(given, kind="stable")
        ranked, below = given[order], np.cumsum(self.weights[order])
        value = _at(ranked, below, q)
        share = self.share(given <= value)
        if math.isnan(share.low):
            return Estimate(value, math.nan, math.nan)
        # The share at the quantile exceeds q by up to one row's weight.
        low, high = q - (share.value - share.low), q + (share.high - share.value)
        return Estimate(value, _at(ranked, below, low), _at(ranked, below, high))

    def quantiles(self, values: npt.ArrayLike, qs: npt.ArrayLike) -> Array:
        """Several quantiles, without intervals."""
        given = np.asarray(values, dtype=np.float64)
        order = np.argsort(given, kind="stable")
        ranked, below = given[order], np.cumsum(self.weights[order])
        return np.array([_at(ranked, below, q) for q in np.asarray(qs, dtype=np.float64)])


def _at(ranked: Array, below: Array, q: float) -> float:
    """The first value up to which the weights sum to q."""
    place = int(np.searchsorted(below, q - _NO_SPREAD))
    return float(ranked[min(max(place, 0), len(ranked) - 1)])
