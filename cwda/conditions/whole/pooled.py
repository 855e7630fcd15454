"""The mean over the weights of a network, with its interval, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.choices import Verdict
from cwda.conditions.averaging import EFFECTS, Averaging
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult, by_question, decide, worse

__all__ = ["LayerEffects", "Pooled", "effect_of", "judged", "pool", "reach_of"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerEffects:
    """What of one condition is averaged over the layers that it judges.

    Attributes
    ----------
    theta, error : tuple of float
        Theta of each layer, and its standard error.
    weights : tuple of float
        Shares of the weights of these layers; they sum to 1.
    averaging : Averaging
        The scale.
    """

    theta: tuple[float, ...]
    error: tuple[float, ...]
    weights: tuple[float, ...]
    averaging: Averaging

    @classmethod
    def of(cls, rows: Sequence[ConditionResult], level: float) -> LayerEffects:
        """Of rows with a verdict; effects themselves where the condition is not known here.

        An answer that was loaded may hold a condition that this process does not define.
        """
        total = sum(row.n_weights for row in rows)
        weights = tuple(row.n_weights / total for row in rows)
        known = CONDITIONS.get(rows[0].condition)
        if known is not None:
            theta = tuple(row.theta for row in rows)
            error = tuple(row.theta_se for row in rows)
            return cls(theta, error, weights, known.averaging)
        quantile = 2 * normal_quantile(level)
        error = tuple((row.effect_high - row.effect_low) / quantile for row in rows)
        return cls(tuple(row.effect for row in rows), error, weights, EFFECTS)

    @property
    def least(self) -> float:
        """Smallest mean that there can be; 0 for effects themselves if none is negative."""
        signed = self.averaging is not EFFECTS or min(self.theta) < 0
        return self.averaging.least if signed else 0.0

    def possible(self, theta: float) -> float:
        """The nearest mean that there can be; NaN stays NaN."""
        return max(min(theta, self.averaging.most), self.least)


@dataclass(frozen=True)
class Pooled:
    """The effect of one condition in a network.

    Attributes
    ----------
    theta, error : float
        Weight-weighted mean of the layers' theta, and its standard error.
    effect, low, high : float
        The effect that belongs to it, and its interval.
    verdict : str
        The verdict on it.
    """

    theta: float
    error: float
    effect: float
    low: float
    high: float
    verdict: Verdict


def judged(rows: Sequence[ConditionResult]) -> list[ConditionResult]:
    """The rows with a verdict."""
    return [row for row in rows if row.verdict != "not applicable"]


def pool(rows: Sequence[ConditionResult], layers: LayerEffects, level: float) -> Pooled:
    r"""Average one condition over the layers that it judges.

    With w_l the share of the weights that lie in layer l, theta = sum_l w_l theta_l, and its
    standard error is sqrt(sum_l w_l^2 v_l): these layers are all there are, and their estimates
    are independent. Never inverse-variance weights: estimates that happen to be small have small
    variances too, which would pull the mean towards 0. One layer keeps its effect and interval.
    Where noise inflates effects, their mean is too large by as much in any number of layers: theta
    is free of that, and has the lower limit; the mean effect has the upper one.

    Parameters
    ----------
    rows : sequence of ConditionResult
        Rows of one network and condition with a verdict.
    layers : LayerEffects
        What is averaged.
    level : float
        Confidence of the interval.
    """
    weights, error = np.array(layers.weights), np.array(layers.error)
    theta = float(weights @ np.array(layers.theta))
    pooled_error = math.sqrt(float(weights**2 @ error**2))
    if len(rows) == 1:
        (row,) = rows
        limits = row.effect_low, row.effect_high
        return Pooled(theta, pooled_error, row.effect, *limits, row.verdict)
    effect = effect_of(theta, layers.averaging)
    low, high = _interval(theta, pooled_error, layers, level)
    if layers.averaging.inflated:
        effect = float(weights @ np.array([row.effect for row in rows]))
        high = _interval(effect, pooled_error, layers, level)[1]
    margin = rows[0].margin
    verdict = worse(decide(low, high, margin), _further(rows, layers.weights))
    return Pooled(theta, pooled_error, effect, low, high, verdict)


def _interval(
    theta: float, error: float, layers: LayerEffects, level: float
) -> tuple[float, float]:
    """Limits that the effect can have."""
    low, high = reach_of(theta, error, layers, level)
    return effect_of(low, layers.averaging), effect_of(high, layers.averaging)


def reach_of(theta: float, error: float, layers: LayerEffects, level: float) -> tuple[float, float]:
    """Limits that theta can have; the upper one starts from the least, if theta is below."""
    reach, least = normal_quantile(level) * error, layers.least
    return layers.possible(theta - reach), layers.possible(max(theta, least) + reach)


def _further(rows: Sequence[ConditionResult], weights: Sequence[float]) -> Verdict:
    """The answer to a condition's further question: that of most of the weights.

    A row does not hold it, but a verdict worse than its interval tells it.
    """
    shares = {"fails": 0.0, "inconclusive": 0.0}
    for row, weight in zip(rows, weights, strict=True):
        if by_question(row):
            shares[row.verdict] += weight
    if shares["fails"] > 0.5:
        return "fails"
    return "holds" if sum(shares.values()) < 0.5 else "inconclusive"


def effect_of(theta: float, averaging: Averaging) -> float:
    """The effect that belongs to a theta, also where that is too large for float64."""
    if math.isnan(theta):
        return math.nan
    try:
        return averaging.effect(theta)
    except OverflowError:
        return math.inf


def normal_quantile(level: float) -> float:
    """Of a two-sided interval: 1.645 for a level of .90."""
    return float(special.ndtri((1 + level) / 2))
