"""`ScoreLaw`: the distribution of one importance score over the filters of a fitted layer.

A score is an increasing function of a normal variable, its *latent*: for l1, l2 and Fermat
the logarithm. Its variance has two parts,

    signal   what a filter would show again: its scale (t = Var(log s)), 0 under CWDA;
    noise    the scatter of the score of a filter N(0, s^2 Sigma) at its scale,

    criterion   noise
    l1          v1, as log(1 + v1), so that the CV of l1 is exact
    l2          v2
    gm          v2 (n + 2) / (n - 1), on the scale of log l2
    fermat      v2 (1 + 2/n)

v1 and v2 are those of normal weights, by the blocks of Sigma; or what the parts of the filters
show, whatever the law of their weights, where the model has that (`cwda.theory.rungs.FRESH`).

Under CWDA all filters have one scale: there is no signal, every spread is noise. GM is the sum
of sqrt(q_j + q_k) over the other filters k: near one scale it moves half as much as l2, and
a tiny filter keeps its distance to all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.arguments import choose, require_type
from cwda.errors import CriterionError
from cwda.theory.model import FittedLayer
from cwda.typing import Named

__all__ = ["LAWS", "DistanceSumLaw", "ScoreLaw", "score_law"]

Array = npt.NDArray[np.float64]

# Standard normal quantiles between which the law of GM is tabulated, and their number.
_REACH, _STEPS = 9.0, 4001
# Of which one in so many says where scores lie; it divides the number of steps between.
_STRIDE = 80


@dataclass(frozen=True)
class ScoreLaw:
    """Log-normal law of a score: l1, l2 and Fermat.

    Attributes
    ----------
    location : float
        Mean of the latent, the log-score in the units of the weights.
    signal, noise : float
        The two parts of its variance; noise is positive.
    """

    location: float
    signal: float
    noise: float

    @property
    def variance(self) -> float:
        """Variance of the latent."""
        return self.signal + self.noise

    @property
    def signal_share(self) -> float:
        """signal / (signal + noise): correlation of the latent with that of a fresh draw."""
        return self.signal / self.variance

    @property
    def mean(self) -> float:
        """E C."""
        return math.exp(self.location + self.variance / 2)

    @property
    def cv(self) -> float:
        """SD over mean, sqrt(exp(v) - 1) for the log-variance v."""
        return math.sqrt(math.expm1(self.variance))

    @property
    def sd(self) -> float:
        """SD of C."""
        return self.cv * self.mean

    @property
    def gini(self) -> float:
        """2 Phi(sqrt(v / 2)) - 1."""
        return math.erf(math.sqrt(self.variance) / 2)

    @property
    def q90_q10(self) -> float:
        """Ratio of the .9 to the .1 quantile."""
        high, low = self.quantile(np.array([0.9, 0.1]))
        return float(high / low)

    def quantile(self, p: Array) -> Array:
        """Scores below which a share p of the filters lies."""
        latent = self.location + math.sqrt(self.variance) * special.ndtri(p)
        return self._score(np.asarray(latent))

    def cdf(self, score: Array) -> Array:
        """Share of filters below a score; 0 for scores that are not positive."""
        z = (self.latent(score) - self.location) / math.sqrt(self.variance)
        return np.asarray(special.ndtr(z))

    def with_signal(self, signal: float) -> ScoreLaw:
        """The normal law of the latent, with another signal and the same noise."""
        return ScoreLaw(self.location, signal, self.noise)

    def latent(self, score: Array) -> Array:
        """The normal variable behind a score; -inf where the law has no such score."""
        with np.errstate(divide="ignore"):
            return np.log(np.clip(score, 0.0, None))

    def _score(self, latent: Array) -> Array:
        return np.exp(latent)


@dataclass(frozen=True)
class DistanceSumLaw(ScoreLaw):
    """Law of GM: factor * E_U sqrt(exp(2 u) + exp(2 U)) for a filter of log-norm u.

    To a filter of zeros the distance is exp(u): with a share `dead` of these among the others the
    mean is (1 - dead) E_U sqrt(exp(2 u) + exp(2 U)) + dead exp(u).

    Attributes
    ----------
    location, signal, noise : float
        Of the latent u, the log-norm with the noise of the sum of distances.
    factor : float
        (n - 1) (1 - v2/4): number of distances, and what their own scatter takes off each.
    others : float
        Variance of U, the log-norm of another filter, with the same location.
    dead : float
        Share of filters of zeros, to which the law does not apply, among the others.
    """

    factor: float
    others: float
    dead: float = 0.0

    @property
    def mean(self) -> float:
        """E C."""
        return self._expectation(lambda z, score: score)

    @property
    def sd(self) -> float:
        """SD of C."""
        mean = self.mean
        return math.sqrt(self._expectation(lambda z, score: (score - mean) ** 2))

    @property
    def cv(self) -> float:
        """SD over mean."""
        return self.sd / self.mean

    @property
    def gini(self) -> float:
        """E[(2 Phi(z) - 1) C] / E C, z the standardised latent."""
        weighted = self._expectation(lambda z, score: special.erf(z / math.sqrt(2)) * score)
        return weighted / self.mean

    def latent(self, score: Array) -> Array:
        """The normal variable behind a score, interpolated; -inf below the lowest score."""
        latent, table = self._table
        # Of the table only the part is made in which these scores lie.
        ends = [np.fmin.reduce(np.ravel(score)), np.max(score)]
        lowest, highest = np.searchsorted(table[::_STRIDE], ends)
        part = slice(_STRIDE * max(int(lowest) - 1, 0), _STRIDE * int(highest) + 1)
        unmade = np.isnan(table[part])
        table[part][unmade] = self._score(latent[part][unmade])
        return np.interp(score, table[part], latent[part], left=-np.inf, right=np.inf)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """Latents and their scores, NaN between every `_STRIDE`-th until they are needed."""
        latent = self.location + math.sqrt(self.variance) * np.linspace(-_REACH, _REACH, _STEPS)
        table = np.full_like(latent, np.nan)
        table[::_STRIDE] = self._score(latent[::_STRIDE])
        return latent, table

    def _score(self, latent: Array) -> Array:
        z, weights = _nodes()
        other = np.exp(2 * (self.location + math.sqrt(self.others) * z))
        distances = np.sqrt(np.exp(2 * latent)[..., None] + other)
        live = (1 - self.dead) * (distances @ weights)
        return np.asarray(self.factor * (live + self.dead * np.exp(latent)))

    def _expectation(self, of: Callable[[Array, Array], Array]) -> float:
        z, weights = _nodes()
        score = self._score(self.location + math.sqrt(self.variance) * z)
        return float(of(z, score) @ weights)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Array, Array]:
    """Gauss-Hermite nodes and weights for means over the standard normal law."""
    z, weights = np.polynomial.hermite_e.hermegauss(64)
    return z, weights / weights.sum()


def _log_l2(fitted: FittedLayer) -> float:
    """Median of log l2."""
    return math.log(fitted.unit) + fitted.log_norm


def _l1(fitted: FittedLayer) -> ScoreLaw:
    moments = fitted.moments
    noise = math.log1p(moments.l1_relative) if fitted.noise is None else fitted.noise.l1
    # E l1 and the root of E l2^2 of one filter; their logs lie half a variance higher.
    ratio = math.log(moments.l1_mean / math.sqrt(moments.trace))
    location = _log_l2(fitted) + fitted.norm_noise + ratio - noise / 2
    return ScoreLaw(location, fitted.log_scale_variance, noise)


def _l2(fitted: FittedLayer) -> ScoreLaw:
    return ScoreLaw(_log_l2(fitted), fitted.log_scale_variance, fitted.norm_noise)


def _gm(fitted: FittedLayer) -> ScoreLaw:
    n, v2 = fitted.n_filters, fitted.norm_noise
    signal = fitted.log_scale_variance
    noise = v2 * (n + 2) / (n - 1)
    return DistanceSumLaw(_log_l2(fitted), signal, noise, (n - 1) * (1 - v2 / 4), signal + v2)


def _fermat(fitted: FittedLayer) -> ScoreLaw:
    n, v2 = fitted.n_filters, fitted.norm_noise
    noise = v2 * (1 + 2 / n)
    location = _log_l2(fitted) + math.log1p(-1 / n) / 2
    return ScoreLaw(location, fitted.log_scale_variance, noise)


#: The law of each criterion that theory covers.
LAWS: dict[str, Callable[[FittedLayer], ScoreLaw]] = {
    "l1": _l1,
    "l2": _l2,
    "gm": _gm,
    "fermat": _fermat,
}


def score_law(fitted: FittedLayer, criterion: str | Named) -> ScoreLaw:
    """Law of a criterion's scores in a layer, as a rung of the ladder knows it.

    log s is normal with variance t about the median of log l2: the measured one, or without
    filter scales that of the mean energy of the filters, n d unit^2 in all. The law is that of
    filters of one shape and mean 0: what they differ in beyond their draw and their scale, and a
    mean that they share, do not enter.

    Parameters
    ----------
    fitted : FittedLayer
        What `fit_layer` returns, or a rung makes of it: `BLOCK(fitted)` is CWDA.
    criterion : str or Criterion
        The score: one of `cwda.theory.CRITERIA`, which are l1, l2, gm and fermat.

    Returns
    -------
    ScoreLaw
        In the units of the weights.

    Raises
    ------
    CriterionError
        If theory has no law of the criterion.

    Examples
    --------
    The CV of l2 in 64 channels of 3 x 3 kernels is 1 / sqrt(2 d) = 2.9 %:

    >>> import torch
    >>> from cwda.layers import ConvLayer
    >>> from cwda.theory import BLOCK, fit_layer
    >>> rng = torch.Generator().manual_seed(0)
    >>> fitted = fit_layer(ConvLayer("conv", torch.randn(64, 64, 3, 3, generator=rng)))
    >>> round(score_law(BLOCK(fitted), "l2").cv, 3)
    0.029
    """
    require_type(fitted, FittedLayer, "a layer that fit_layer has fitted")
    (name,) = choose([criterion], LAWS, "criterion", CriterionError)
    return LAWS[name](fitted)
