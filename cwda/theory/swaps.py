"""Applicability: can a criterion tell the filters on the two sides of a threshold apart?

A filter's latent log-score x = theta + e has a signal theta, which the filter would show again,
and noise e (`score_law`). Prune the share r with the lowest x, draw the noise afresh, and
look at all pairs of a pruned and a kept filter: two filters *swap* if the fresh scores order
them the other way. With reliability R = Var(theta) / Var(x), normal x, c = Phi^-1(r) and Owen's
function T,

    P(swap) = 1/2 - T(c, R / sqrt(2 - R^2)) / (r (1 - r)),

which is 1/2 - (2/pi) asin(R / sqrt 2) at r = 1/2: one half without signal, 0 without noise.

Derivation: P(x_i < c, x_j > c, x'_i > x'_j) is an orthant probability of three normal variables,
r (1 - r) / 2 at R = 0; by Plackett's identity its derivative in q = R / sqrt 2 is minus the
bivariate normal density at (c, 0) with correlation q, whose integral is Owen's T.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.arguments import as_numbers
from cwda.errors import CwdaError
from cwda.theory.model import FittedLayer
from cwda.theory.score_law import ScoreLaw

__all__ = [
    "SWAP_DISCRIMINATES",
    "SWAP_WEAK",
    "Discrimination",
    "Swaps",
    "discrimination",
    "signal_interval",
    "swap_probability",
    "swaps_of_scores",
]

Array = npt.NDArray[np.float64]
Discrimination = Literal["discriminates", "weakly", "cannot discriminate"]

#: Up to one swap in ten pairs a criterion discriminates: reliability .83 at ratio .5.
SWAP_DISCRIMINATES = 0.10

#: Above one swap in four pairs it cannot: reliability .54 at ratio .5; .5 is a coin.
SWAP_WEAK = 0.25

# Variance of the log of a variance that is estimated by the interquartile range, times n.
_IQR_LOG_VARIANCE = 5.442

# A gap of log-scores that no noise bridges.
_FAR = 1e3


class Swaps(NamedTuple):
    """Probabilities that filters across the threshold swap, given their scores.

    Attributes
    ----------
    mean : float
        Over all pairs of a pruned and a kept filter.
    nearest : float
        Of the last filter pruned and the first one kept.
    """

    mean: float
    nearest: float


def swap_probability(ratio: Array | float, reliability: Array | float) -> Array:
    """P(swap) of a pruned and a kept filter, normal log-scores; see the module.

    Parameters
    ----------
    ratio : array_like
        Share r of the filters pruned, between 0 and 1.
    reliability : array_like
        R = signal / (signal + noise), 0 to 1.

    Raises
    ------
    CwdaError
        If a ratio or reliability is impossible.

    References
    ----------
    Plackett (1954), A reduction formula for normal multivariate integrals, Biometrika 41,
    351-360. Owen (1956), Annals of Mathematical Statistics 27, 1075-1090.

    Examples
    --------
    >>> swap_probability(0.5, [0.0, 0.5, 0.9, 1.0]).round(3).tolist()
    [0.5, 0.27, 0.061, 0.0]
    """
    r, reliability = as_numbers(ratio, "ratios"), as_numbers(reliability, "reliabilities")
    if not ((r > 0) & (r < 1)).all():
        raise CwdaError(f"a pruning ratio lies between 0 and 1, not {ratio}")
    if not ((reliability >= 0) & (reliability <= 1)).all():
        raise CwdaError(f"a reliability lies between 0 and 1, not {reliability}")
    slope = reliability / np.sqrt(2 - reliability**2)
    swap = 0.5 - special.owens_t(special.ndtri(r), slope) / (r * (1 - r))
    return np.asarray(np.clip(swap, 0.0, 0.5))


def swaps_of_scores(latent: Array, pruned: int, law: ScoreLaw) -> Swaps:
    """P(swap) over the pairs of one layer, given the scores that it shows.

    A fresh score of a filter with latent x is normal about its regression R x on the mean, with
    variance v (1 - R^2), v = signal + noise. Hence a pair with gap g swaps with probability
    Phi(-R g / sqrt(2 v (1 - R^2))); its mean over normal x is `swap_probability`.

    Parameters
    ----------
    latent : ndarray
        `law.latent` of the scores, (n,).
    pruned : int
        How many filters are pruned, 1 to n - 1.
    law : ScoreLaw
        Reliability and variance.

    Raises
    ------
    CwdaError
        If the number pruned leaves no pair.

    Examples
    --------
    >>> law = ScoreLaw(location=0.0, signal=0.04, noise=0.01)
    >>> swaps = swaps_of_scores(np.array([-0.4, -0.1, 0.0, 0.5]), 2, law)
    >>> round(swaps.mean, 3), round(swaps.nearest, 3)
    (0.097, 0.337)
    """
    ordered = np.sort(latent)
    if not 0 < pruned < len(ordered):
        raise CwdaError(f"1 to {len(ordered) - 1} filters can be pruned and kept, not {pruned}")
    reliability = law.reliability
    spread = math.sqrt(2 * law.variance * (1 - reliability**2))
    # A score below the law's lowest has latent -inf; two of them do not differ.
    with np.errstate(invalid="ignore"):
        gaps = np.nan_to_num(ordered[pruned:] - ordered[:pruned, None], nan=0.0, posinf=_FAR)
    chance = special.ndtr(-reliability * gaps / spread)
    return Swaps(float(chance.mean()), float(chance[-1, 0]))


def signal_interval(fitted: FittedLayer, level: float = 0.95) -> tuple[float, float]:
    """Interval of t = Var(log s), the signal of filters that differ in scale.

    The log of the variance by interquartile range, of n normal log-norms, is nearly normal with
    variance 5.44 / n; the part 1 / (2 d_eff) that CWDA explains is then taken off.

    Parameters
    ----------
    fitted : FittedLayer
        The layer, with the scales of its filters: `SCALE(fit_layer(layer))`.
    level : float
        Confidence level of the interval.

    References
    ----------
    Serfling (1980), Approximation Theorems of Mathematical Statistics, section 2.3.3: the
    joint law of sample quantiles.
    """
    radius = float(special.ndtri((1 + level) / 2)) * math.sqrt(_IQR_LOG_VARIANCE / fitted.n_filters)
    total, noise = fitted.log_norm_variance, fitted.moments.l2_relative
    low, high = total * math.exp(-radius), total * math.exp(radius)
    return max(low - noise, 0.0), max(high - noise, 0.0)


def discrimination(swap: float) -> Discrimination:
    """The verdict on a probability of swaps.

    Examples
    --------
    >>> discrimination(0.04), discrimination(0.2), discrimination(0.5)
    ('discriminates', 'weakly', 'cannot discriminate')
    """
    if swap <= SWAP_DISCRIMINATES:
        return "discriminates"
    return "weakly" if swap <= SWAP_WEAK else "cannot discriminate"
