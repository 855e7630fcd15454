"""The interval of the change of an effect from one network to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.conditions.averaging import SHARES, Averaging
from cwda.conditions.whole.pooled import LayerEffects, Pooled, effect_of, normal_quantile, reach_of
from cwda.numerics.jackknife import jackknife_variance

__all__ = ["Change", "Side", "change", "of_independent", "variance_of_change"]

Array = npt.NDArray[np.float64]

#: Changed layers from which the scatter of their differences is used.
_ENOUGH = 5


@dataclass(frozen=True)
class Side:
    """One condition in one of two networks.

    Attributes
    ----------
    layers : LayerEffects
        What is averaged.
    pooled : Pooled
        The effect in the network.
    effects : tuple of float
        Effects of the layers.
    """

    layers: LayerEffects
    pooled: Pooled
    effects: tuple[float, ...]


@dataclass(frozen=True)
class Change:
    """The interval of the second effect less the first, and the correlation of their errors."""

    low: float
    high: float
    correlation: float


def change(a: Side, b: Side, same: Sequence[bool], *, related: bool, level: float) -> Change:
    r"""Interval of the effect of b less that of a, over the same layers of two networks.

    Layers whose weights are the same in both have changed by 0, without error. With D the change
    of the mean theta and V its variance, the interval of D is D -+ z sqrt(V). That of the change
    of the effect has the largest and the smallest g(theta_b) - g(theta_a), g being the effect
    that belongs to a theta, over all pairs in the intervals of both whose difference lies in that
    of D. It excludes 0 only if the interval of D does.

    Where errors are not shared, in that V is no less than the sum of both variances, it is the
    interval of independent effects.

    Parameters
    ----------
    a, b : Side
        The condition in both networks; the same layers in the same order.
    same : sequence of bool
        Whether the weights of each layer are the same in both.
    related : bool
        Whether the weights of the other layers have a start in common.
    level : float
        Confidence of the interval.
    """
    if all(same):
        return Change(0.0, 0.0, 1.0)
    weights, error_a, error_b = (
        np.array(x) for x in (a.layers.weights, a.layers.error, b.layers.error)
    )
    one, other = float(weights**2 @ error_a**2), float(weights**2 @ error_b**2)
    theta = np.where(same, 0.0, np.array(b.layers.theta) - np.array(a.layers.theta))
    variance = variance_of_change(a.layers, b.layers, theta, same, related=related, level=level)
    common = 2 * math.sqrt(one * other)
    correlation = (one + other - variance) / common if 0 < common < math.inf else 0.0
    if not correlation > 1e-9:
        return Change(*of_independent(a.pooled, b.pooled), 0.0)
    intervals = [_around(float(weights @ theta), variance, level)]
    if a.layers.averaging.inflated:  # the mean of the effects is not that of theta
        effects = np.where(same, 0.0, np.array(b.effects) - np.array(a.effects))
        wide = variance_of_change(a.layers, b.layers, effects, same, related=related, level=level)
        intervals.append(_around(float(weights @ effects), wide, level))
    low, high = min(each[0] for each in intervals), max(each[1] for each in intervals)
    limits = _of_effects(a, b, (low, high), level)
    return Change(*limits, min(correlation, 1.0))


def of_independent(a: Pooled, b: Pooled) -> tuple[float, float]:
    """Limits of the effect of b less that of a, from the limits of both (MOVER)."""
    difference = b.effect - a.effect
    return (
        difference - math.hypot(b.effect - b.low, a.high - a.effect),
        difference + math.hypot(b.high - b.effect, a.effect - a.low),
    )


def variance_of_change(
    a: LayerEffects,
    b: LayerEffects,
    differences: Array,
    same: Sequence[bool],
    *,
    related: bool,
    level: float,
) -> float:
    """Variance of the mean difference over the layers that have changed.

    It is the sum of both variances, or, for related weights and where that is smaller, what the
    jackknife over at least five layers finds, as wide as Student's t makes it. Shares of filters
    are counts, often of none, whose scatter tells too little.
    """
    changed = ~np.array(same)
    weights, one, other = (np.array(x)[changed] for x in (a.weights, a.error, b.error))
    apart = float(weights**2 @ (one**2 + other**2))
    if not related or len(weights) < _ENOUGH or a.averaging is SHARES:
        return apart
    whole = float(weights.sum())
    weights = weights / whole
    mean = weights @ differences[changed]
    left = (mean - weights * differences[changed]) / (1 - weights)
    freedom = max(1 / float(weights @ weights) - 1, 1.0)
    student = float(special.stdtrit(freedom, (1 + level) / 2)) / normal_quantile(level)
    return min(apart, float(jackknife_variance(left)) * (student * whole) ** 2)


def _around(value: float, variance: float, level: float) -> tuple[float, float]:
    reach = normal_quantile(level) * math.sqrt(variance)
    return value - reach, value + reach


def _of_effects(
    a: Side, b: Side, change_of_theta: tuple[float, float], level: float
) -> tuple[float, float]:
    """Limits of the change of the effect, from those of the change of theta."""
    first, second = (_range(side, level) for side in (a, b))
    averaging, (low, high) = a.layers.averaging, change_of_theta
    smallest = -_largest_rise(second, first, -low, averaging)
    largest = _largest_rise(first, second, high, averaging)
    found = b.pooled.effect - a.pooled.effect
    return min(smallest, found), max(largest, found)


def _range(side: Side, level: float) -> tuple[float, float]:
    """The thetas that a network may have."""
    pooled, layers = side.pooled, side.layers
    low, high = reach_of(pooled.theta, pooled.error, layers, level)
    if layers.averaging.inflated:
        high = reach_of(pooled.effect, pooled.error, layers, level)[1]
    return low, high


def _largest_rise(
    start: tuple[float, float], end: tuple[float, float], most: float, averaging: Averaging
) -> float:
    """The largest g(y) - g(x) with x and y in their ranges and y - x at most `most`.

    g rises, so that it lies where y - x is as large as may be. There the derivative is 0 at no
    inner point but, for roots with a sign, where x = -y.
    """
    (low, high), (least, top) = start, end
    if top - low <= most:
        return effect_of(top, averaging) - effect_of(low, averaging)
    first, last = max(low, least - most), min(high, top - most)
    if first > last:
        return effect_of(least, averaging) - effect_of(high, averaging)
    points = (first, last, min(max(-most / 2, first), last))
    return max(effect_of(x + most, averaging) - effect_of(x, averaging) for x in points)
