"""How far the sets of filters that two criteria prune agree: beyond chance, and beyond noise.

A criterion prunes k of the n filters of a layer. Two of them that differ in D filters have

    kappa = 1 - D / (k (1 - k/n)),

Cohen's coefficient, which is also the correlation of the two indicators "pruned": 1 for equal sets,
0 for what chance would share. Over layers, D and k (1 - k/n) are summed before they are divided,
so that each filter counts alike.

Noise of the images lowers the kappa of criteria that agree. With normal latent scores of
correlation rho, thresholded at the share r = Phi(c) that is pruned,

    kappa(rho) = (Phi_2(c, c; rho) - r^2) / (r (1 - r)),

which is (2/pi) asin(rho) at r = 1/2. A criterion that shares kappa_aa with itself on another draw
of as many images has the reliability rho_aa; without noise two criteria would share
kappa(rho_ab / sqrt(rho_aa rho_bb)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.numerics.jackknife import jackknife_variance
from cwda.scoring.error_bars.disattenuation import disattenuated
from cwda.scoring.error_bars.pruned_sets import (
    kappa_of_latent,
    latent_of_kappa,
    slope_of_latent,
)

__all__ = ["FEWEST_LAYERS", "Agreement", "Differences", "agree"]

Array = npt.NDArray[np.float64]

#: Layers that an interval needs.
FEWEST_LAYERS = 4

# A reliability below this is 0.
_NOISE = 1e-4


@dataclass(frozen=True, eq=False)
class Differences:
    """How many filters of the pruned sets differ, in each layer; all float64.

    Attributes
    ----------
    ratio : float
        Share of the filters pruned.
    differing : ndarray
        Layers x criteria x criteria: filters that a prunes and b keeps; NaN where undefined.
    pruned : ndarray
        Layers: k, the number of filters pruned.
    chance : ndarray
        Layers: k (1 - k/n), the number for sets that are drawn at random.
    redrawn : ndarray
        Layers x criteria: filters that another draw of the images would exchange.
    """

    ratio: float
    differing: Array
    pruned: Array
    chance: Array
    redrawn: Array


@dataclass(frozen=True, eq=False)
class Agreement:
    """Kappa of each pair of criteria, pooled over the layers in which both rank; C x C.

    Attributes
    ----------
    kappa, kappa_low, kappa_high : ndarray
        As measured, with its interval.
    corrected, corrected_low, corrected_high : ndarray
        Without the noise of the images.
    over : ndarray
        Whether the corrected correlation exceeded 1, and was taken as 1.
    latent_reliability : ndarray
        C: correlation of the latent scores with those of another draw; 1 without noise.
    layers : ndarray
        Number of layers of each pair.
    """

    kappa: Array
    kappa_low: Array
    kappa_high: Array
    corrected: Array
    corrected_low: Array
    corrected_high: Array
    over: npt.NDArray[np.bool_]
    latent_reliability: Array
    layers: npt.NDArray[np.int64]


def agree(differences: Differences, level: float = 0.95) -> Agreement:
    """Kappa of all pairs over the layers, with jackknife intervals over the layers.

    The interval of what was measured lies on Fisher's scale, z = atanh(kappa); that of the
    corrected value on the scale of the latent correlation, about 1 where the estimate exceeds it.
    Neither is narrower than the scatter of the filters, in one layer of this size, would make it;
    where none differs in any layer, the lower limit is that of a Poisson count of 0. From fewer
    than 4 layers there is none.

    Parameters
    ----------
    differences : Differences
        The layers.
    level : float
        Confidence level of the intervals, which are about layers such as these.

    Examples
    --------
    Sixteen filters of which half go; the two criteria differ in one, two, one and none.

    >>> differing = np.zeros((4, 2, 2))
    >>> differing[:, 0, 1] = differing[:, 1, 0] = [1, 2, 1, 0]
    >>> found = agree(Differences(0.5, differing, np.full(4, 8), np.full(4, 4), np.zeros((4, 2))))
    >>> [round(float(x[0, 1]), 2) for x in (found.kappa, found.kappa_low, found.kappa_high)]
    [0.75, 0.2, 0.94]
    """
    defined = ~np.isnan(differences.differing)
    counts = defined.sum(0)
    chance = np.where(defined, differences.chance[:, None, None], 0.0)
    differing = np.where(defined, differences.differing, 0.0)
    noise = np.where(defined, differences.redrawn[:, :, None], 0.0)
    whole = _Pooled.of(differences.ratio, differing.sum(0), noise.sum(0), chance.sum(0))
    without = _Pooled.of(
        differences.ratio,
        differing.sum(0) - differing,
        noise.sum(0) - noise,
        chance.sum(0) - chance,
    )
    quantile = special.stdtrit(np.maximum(counts - 1, 1), (1 + level) / 2)
    pruned = np.where(defined, differences.pruned[:, None, None], 0.0).sum(0)
    scatter = _scatter((1 - whole.kappa) * whole.chance, pruned, whole.chance)
    # Where none differs: of a Poisson count of 0.
    with np.errstate(divide="ignore"):
        none = np.maximum(1 + math.log((1 - level) / 2) / whole.chance, -1.0)
    raw = _fisher_interval(whole, without, defined, quantile, scatter, none)
    corrected = _latent_interval(whole, without, defined, quantile, scatter, none)
    noiseless = noise.sum(0) + noise.sum(0).T == 0
    few = counts < FEWEST_LAYERS
    low, high = (
        np.where(few, np.nan, np.where(noiseless, plain, without_noise))
        for plain, without_noise in zip(raw, corrected, strict=True)
    )
    best = kappa_of_latent(whole.corrected.clip(-1, 1), whole.ratio)
    return Agreement(
        kappa=whole.kappa,
        kappa_low=np.where(few, np.nan, raw[0]),
        kappa_high=np.where(few, np.nan, raw[1]),
        corrected=np.where(noiseless, whole.kappa, best),
        corrected_low=low,
        corrected_high=high,
        over=~noiseless & (whole.corrected > 1),
        latent_reliability=whole.latent_reliability.diagonal().copy(),
        layers=counts,
    )


@dataclass(frozen=True, eq=False)
class _Pooled:
    """Sums over layers, made coefficients; (..., C, C)."""

    ratio: float
    chance: Array
    kappa: Array
    latent_reliability: Array
    corrected: Array

    @classmethod
    def of(cls, ratio: float, differing: Array, noise: Array, chance: Array) -> _Pooled:
        with np.errstate(invalid="ignore", divide="ignore"):
            kappa = np.where(chance > 0, 1 - differing / chance, np.nan)
            own = np.where(chance > 0, 1 - noise / chance, np.nan)
            reliability = np.clip(latent_of_kappa(own, ratio), 0.0, 1.0)
            # A criterion of noise alone agrees with nothing: neither with itself.
            reliability = np.where(reliability < _NOISE, 0.0, reliability)
            other = np.swapaxes(reliability, -1, -2)
            corrected = disattenuated(latent_of_kappa(kappa, ratio), reliability, other)
        known = (reliability > 0) & (other > 0)
        return cls(ratio, chance, kappa, reliability, np.where(known, corrected, np.nan))


def _jackknife(left_out: Array, defined: npt.NDArray[np.bool_]) -> Array:
    """Standard error from the values without each layer in turn, of the layers of each pair."""
    values = np.where(np.isfinite(left_out), left_out, 0.0)
    errors = np.zeros(defined.shape[1:])
    for pair in np.argwhere(defined.any(0)):
        at = (slice(None), *pair)
        errors[tuple(pair)] = math.sqrt(jackknife_variance(values[at][defined[at]]))
    return errors


def _scatter(differing: Array, pruned: Array, chance: Array) -> Array:
    """Standard error of kappa among all filters, given how many are pruned.

    The cells of the table pruned by a x pruned by b are k - D, D, D and n - k - D; with its
    margins fixed, Var D = 1 / (1/(k - D) + 2/D + 1/(n - k - D)), nearly.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n = pruned**2 / (pruned - chance)
        cells = pruned - differing, differing, differing, n - pruned - differing
        return np.asarray(sum(1 / cell for cell in cells) ** -0.5 / chance)


def _fisher_interval(
    whole: _Pooled,
    without: _Pooled,
    defined: npt.NDArray[np.bool_],
    quantile: Array,
    scatter: Array,
    none: Array,
) -> tuple[Array, Array]:
    """Limits of kappa as measured."""
    # Half a filter keeps z finite.
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.clip(1 - 0.5 / np.where(whole.chance > 0, whole.chance, np.nan), 0.0, 1.0)
        z, each = (np.arctanh(np.clip(x.kappa, -bound, bound)) for x in (whole, without))
        radius = quantile * np.fmax(_jackknife(each, defined), scatter / (1 - whole.kappa**2))
        low, high = np.tanh(z - radius), np.tanh(z + radius)
    same = whole.kappa == 1
    return (
        np.where(same, none, np.minimum(low, whole.kappa)),
        np.where(same, 1.0, np.maximum(high, whole.kappa)),
    )


def _latent_interval(
    whole: _Pooled,
    without: _Pooled,
    defined: npt.NDArray[np.bool_],
    quantile: Array,
    scatter: Array,
    none: Array,
) -> tuple[Array, Array]:
    """Limits of the corrected kappa."""
    ratio, own = whole.ratio, whole.latent_reliability
    other = np.swapaxes(own, -1, -2)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = slope_of_latent(latent_of_kappa(whole.kappa, ratio), ratio)
        floor = scatter / slope / np.sqrt(own * other)
        least = disattenuated(latent_of_kappa(none, ratio), own, other)
    radius = quantile * np.fmax(_jackknife(without.corrected, defined), floor)
    middle = np.clip(whole.corrected, -1.0, 1.0)
    lowest = np.where(whole.kappa == 1, np.fmin(middle - radius, least), middle - radius)
    low, high = (
        kappa_of_latent(np.clip(each, -1.0, 1.0), ratio) for each in (lowest, middle + radius)
    )
    return low, high
