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

Filters that lie *apart* (`own_scales`) are no draw of that normal law: dead filters below the
others, a few very large ones above them. Their signal is their own, x' is N(x, 2 noise), and no
lack of signal among the others makes a coin of them. Where `FEWEST_ALIKE` or more lie on one side,
the spread of their own latents says how much of it is signal: near-dead filters of one scale are
below all others, and among themselves a coin.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.arguments import as_numbers
from cwda.errors import CwdaError
from cwda.numerics.spread import NORMAL_IQR
from cwda.theory.model import FittedLayer
from cwda.theory.score_law import ScoreLaw

__all__ = [
    "COIN",
    "SWAP_DISCRIMINATES",
    "SWAP_WEAK",
    "Discrimination",
    "Swaps",
    "apart_below",
    "discrimination",
    "own_scales",
    "reliability_of_swaps",
    "signal_interval",
    "swap_probability",
    "swaps_of_scores",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Discrimination = Literal["discriminates", "weakly", "cannot discriminate"]

#: Up to one swap in ten pairs a criterion discriminates: reliability .83 at ratio .5.
SWAP_DISCRIMINATES = 0.10

#: Above one swap in four pairs it cannot: reliability .54 at ratio .5; .5 is a coin.
SWAP_WEAK = 0.25

#: P(swap) of filters whose order is chance.
COIN = 0.5

# Steps of the inverse of `swap_probability`.
_STEPS = 2001

# Variance of the log of a variance that is estimated by the interquartile range, times n.
_IQR_LOG_VARIANCE = 5.442

#: How often the smallest of n filters that follow one law may look as if it did not.
FALSE_APART = 0.01

#: So many filters apart on one side have a normal law of their own.
FEWEST_ALIKE = 8

#: Standard deviations of the others' law that are empty above filters apart.
GAP = 2.5


class Swaps(NamedTuple):
    """Probabilities that filters across the threshold swap, given their scores.

    Attributes
    ----------
    mean : float
        Over all pairs of a pruned and a kept filter.
    nearest : float
        Of the last filter pruned and the first one kept.
    scatter : float
        Standard deviation of the mean over what the scales of the filters may be, given their
        scores.
    """

    mean: float
    nearest: float
    scatter: float


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


def reliability_of_swaps(ratio: float, swap: Array | float) -> Array:
    """The reliability at which `swap_probability` is what was observed; its inverse.

    Parameters
    ----------
    ratio : float
        Share r of the filters pruned.
    swap : array_like
        P(swap); one half and more is a reliability of 0.

    Examples
    --------
    >>> reliability_of_swaps(0.5, [0.5, 0.27, 0.061, 0.0]).round(2).tolist()
    [0.0, 0.5, 0.9, 1.0]
    """
    # Dense towards 1, where the probability falls like the root of 1 - R.
    reliability = 1 - np.linspace(1, 0, _STEPS) ** 2
    known = swap_probability(ratio, reliability)
    return np.interp(as_numbers(swap, "probabilities"), known[::-1], reliability[::-1])


def own_scales(latent: Array, law: ScoreLaw) -> Mask:
    """Filters that no normal law of the others holds, on either side of them.

    Parameters
    ----------
    latent : ndarray
        `law.latent` of the scores, (n,).
    law : ScoreLaw
        Law of the others; with the largest signal that is likely, to be sure.
    """
    beyond: Mask = abs(latent - law.location) > _reach(len(latent), law)
    return beyond


def apart_below(latent: Array, law: ScoreLaw) -> Mask:
    """Filters that lie apart below the others, such as dead ones.

    Apart are the filters below a gap of `GAP` standard deviations of the law or more, if the
    largest of them lies below its quantile FALSE_APART / n, which n draws of the law pass with a
    probability of `FALSE_APART`. The gap tells filters apart from the tail of a law that is
    not normal.

    Parameters
    ----------
    latent : ndarray
        `law.latent` of the scores, (n,).
    law : ScoreLaw
        Law of the others; with the largest signal that is likely, to be sure.

    Examples
    --------
    >>> law = ScoreLaw(location=0.0, signal=0.0, noise=0.01)
    >>> apart_below(np.array([-4.0, -0.5, -0.2, 0.0, 0.1]), law).tolist()
    [True, True, False, False, False]
    """
    ordered = np.sort(latent)
    deep = ordered[:-1] < law.location - _reach(len(latent), law)
    with np.errstate(invalid="ignore"):
        wide = np.diff(ordered) >= GAP * math.sqrt(law.variance)
    gaps = np.flatnonzero(deep & wide)
    highest = ordered[gaps[-1]] if gaps.size else math.nan
    apart: Mask = latent <= highest
    return apart


def _reach(n: int, law: ScoreLaw) -> float:
    return float(-special.ndtri(FALSE_APART / n)) * math.sqrt(law.variance)


def swaps_of_scores(latent: Array, pruned: int, law: ScoreLaw, own: Mask | None = None) -> Swaps:
    """P(swap) over the pairs of one layer, given the scores that it shows.

    A fresh score of a filter with latent x is normal about its regression R x on the mean, with
    variance v (1 - R^2), v = signal + noise; that of a filter with a scale of its own about x, with
    twice the noise (of `FEWEST_ALIKE` of them, about its regression within their own law). Hence a
    pair whose means have the gap g, and a sum w of variances, swaps with probability
    Phi(-g / sqrt(w)); the mean over normal x is `swap_probability`.

    The filters' own signals scatter about those means with variance v R (1 - R) (a filter with a
    scale of its own: the noise), so that what these n filters would do in many fresh draws is not
    that mean. Its variance is to first order the sum over the filters of that variance times the
    squared derivative of the mean by the filter's signal.

    Parameters
    ----------
    latent : ndarray
        `law.latent` of the scores, (n,).
    pruned : int
        How many filters are pruned, 1 to n - 1.
    law : ScoreLaw
        Location, share of signal and variance.
    own : ndarray of bool, optional
        Filters with scales of their own, (n,); see `own_scales`. None by default, but for those
        whose latent is infinite.

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
    order = np.argsort(latent, kind="stable")
    if not 0 < pruned < len(order):
        raise CwdaError(f"1 to {len(order) - 1} filters can be pruned and kept, not {pruned}")
    share = law.signal_share
    # A score below the law's lowest has latent -inf; two of them do not differ.
    alone = np.isinf(latent) if own is None else own | np.isinf(latent)
    alone, x = alone[order], latent[order] - law.location
    expected = np.where(alone, x, share * np.where(alone, 0.0, x))
    variance = np.where(alone, 2 * law.noise, law.variance * (1 - share**2))
    for side in (x < 0, x > 0):
        alike = alone & side & np.isfinite(x)
        if alike.sum() >= FEWEST_ALIKE:
            expected[alike], variance[alike] = _among_themselves(x[alike], law.noise)
    with np.errstate(invalid="ignore"):
        gaps = np.nan_to_num(expected[pruned:] - expected[:pruned, None], nan=0.0, posinf=np.inf)
    sd = np.sqrt(variance[pruned:] + variance[:pruned, None])
    z = gaps / sd
    chance = special.ndtr(-z)
    # How far the mean moves with the signal of one filter, and how far that is known.
    slope = np.exp(-np.square(z) / 2) / (math.sqrt(2 * math.pi) * sd)
    moves = np.concatenate([slope.mean(1) / pruned, slope.mean(0) / (len(order) - pruned)])
    unknown = np.clip(variance - law.noise, 0.0, None)
    scatter = math.sqrt(float(np.square(moves) @ unknown))
    return Swaps(float(chance.mean()), float(chance[-1, 0]), scatter)


def _among_themselves(x: Array, noise: float) -> tuple[Array, float]:
    """Means and variance of the fresh latents of filters that follow a law of their own."""
    low, middle, high = np.percentile(x, [25, 50, 75])
    total = max(float((high - low) / NORMAL_IQR) ** 2, noise)
    reliability = 1 - noise / total
    return middle + reliability * (x - middle), total * (1 - reliability**2)


def signal_interval(fitted: FittedLayer, level: float = 0.95) -> tuple[float, float]:
    """Interval of t = Var(log s), the signal of filters that differ in scale.

    The log of the variance by interquartile range, of n normal log-norms, is nearly normal with
    variance 5.44 / n; the part that a draw explains is then taken off. Where that part is measured
    as well, the interval of the difference has the two limits' distances from their estimates,
    added as squares.

    Parameters
    ----------
    fitted : FittedLayer
        The layer, with the scales of its filters: `FRESH(fit_layer(layer))`.
    level : float
        Confidence level of the interval.

    References
    ----------
    Serfling (1980), Approximation Theorems of Mathematical Statistics, section 2.3.3: the
    joint law of sample quantiles. Zou and Donner (2008), Construction of confidence limits about
    effect measures, Statistics in Medicine 27, 1693-1702: that of a difference.
    """
    z = float(special.ndtri((1 + level) / 2))
    radius = z * math.sqrt(_IQR_LOG_VARIANCE / fitted.n_filters)
    total, noise = fitted.log_norm_variance, fitted.norm_noise
    signal = total - noise
    error = z * (0.0 if fitted.noise is None else fitted.noise.log_error)
    low = signal - math.hypot(total * math.expm1(-radius), noise * math.expm1(error))
    high = signal + math.hypot(total * math.expm1(radius), noise * math.expm1(-error))
    return max(low, 0.0), max(high, 0.0)


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
