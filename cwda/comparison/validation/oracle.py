r"""Rank correlation of a criterion with the oracle, and what noise takes from it.

Both are measured on two disjoint halves of the images, A and B. With c the scores of the criterion
and o those of the oracle

    spearman = ( Sp(c_A, o_B) + Sp(c_B, o_A) ) / 2,

in which no image enters both sides. Noise of the images makes it too small; with the reliabilities
r_c = Sp(c_A, c_B) and r_o, the mean of Sp(o_A', o_B') over random halves A', B',

    disattenuated = spearman / sqrt(r_c r_o)            (Spearman 1904).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.numerics.jackknife import jackknife_radius, jackknife_variance
from cwda.numerics.ranking.rank_intervals import FEWEST_FOR_INTERVAL
from cwda.numerics.ranking.ranks import midranks, spearman, spearman_leave_one_out
from cwda.numerics.spread import constant
from cwda.scoring.error_bars.disattenuation import disattenuated

__all__ = [
    "LEAST_RELIABILITY",
    "Oracle",
    "OracleCorrelation",
    "correlation_with_oracle",
    "disattenuated_difference",
    "disattenuated_limits",
]

#: Below it, a coefficient is not divided by the root of a reliability, nor the sum over layers.
LEAST_RELIABILITY = 0.1

Array = npt.NDArray[np.float64]

_SPLITS = 20


@dataclass(frozen=True)
class _Coefficient:
    """A coefficient over all filters, and without each in turn."""

    value: float
    without: Array

    @classmethod
    def of(cls, pairs: list[Tensor]) -> _Coefficient:
        """The mean of Spearman's coefficient over pairs of rankings, each 2 x n."""
        values = [float(spearman(pair)[0, 1]) for pair in pairs]
        without = [spearman_leave_one_out(pair)[0, 1].numpy() for pair in pairs]
        return cls(float(np.mean(values)), np.mean(without, axis=0))


class Oracle:
    """The loss without each filter of a layer, on two halves of the images.

    Parameters
    ----------
    first, second : Tensor
        Increases of the loss, float64, images x n, on the CPU.
    draws : int
        Number of random rankings.
    generator : Generator
        Draws splits and rankings.

    Attributes
    ----------
    halves : Tensor
        Means over the images of each half, 2 x n.
    half_reliability : float
        Mean Spearman coefficient of two random halves of all images.
    random : array
        The coefficients of random rankings, sorted.
    """

    def __init__(
        self, first: Tensor, second: Tensor, draws: int, generator: np.random.Generator
    ) -> None:
        self.halves = torch.stack([first.mean(0), second.mean(0)])
        every, half = torch.cat([first, second]), len(first)
        splits = [self.halves]
        for _ in range(_SPLITS - 1):
            order = torch.from_numpy(generator.permutation(len(every)))
            splits.append(torch.stack([every[order[:half]].mean(0), every[order[half:]].mean(0)]))
        self._halves = _Coefficient.of(splits)
        self.half_reliability = self._halves.value
        self.random = np.sort(self._random(draws, generator))

    @property
    def without(self) -> Array:
        """`half_reliability` without each filter in turn."""
        return self._halves.without

    def _random(self, draws: int, generator: np.random.Generator) -> Array:
        """The coefficients of rankings drawn without looking at anything."""
        ranks = _normalised(midranks(self.halves).numpy()).mean(0)
        n = len(ranks)
        drawn = generator.permuted(np.tile(np.arange(1.0, n + 1), (draws, 1)), axis=1)
        coefficients: Array = _normalised(drawn) @ ranks
        return coefficients

    def pvalue(self, coefficient: float) -> float:
        """How often a random ranking has a coefficient as large, itself counted in."""
        above = len(self.random) - int(np.searchsorted(self.random, coefficient - 1e-12))
        return (1 + above) / (1 + len(self.random))


def _normalised(ranks: Array) -> Array:
    centred = ranks - ranks.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    normalised: Array = np.full_like(centred, np.nan)
    np.divide(centred, length, out=normalised, where=length > 0)
    return normalised


@dataclass(frozen=True)
class OracleCorrelation:
    """How a criterion correlates with the oracle in one layer; NaN where undefined."""

    spearman: float
    low: float
    high: float
    half_reliability: float
    disattenuated: float
    disattenuated_low: float
    disattenuated_high: float


def correlation_with_oracle(criterion: Tensor, oracle: Oracle, level: float) -> OracleCorrelation:
    """The correlation of the scores of both halves, 2 x n, with the oracle of the other half.

    The intervals are jackknives over the filters: of `spearman` on Fisher's scale, of
    `disattenuated` as it is, with the reliabilities left to vary.
    """
    nan = float("nan")
    if any(map(bool, constant(criterion))):
        return OracleCorrelation(nan, nan, nan, nan, nan, nan, nan)
    crossed = _Coefficient.of(
        [torch.stack([criterion[side], oracle.halves[1 - side]]) for side in (0, 1)]
    )
    own = _Coefficient.of([criterion])
    n = criterion.shape[1]
    bound = 1 - 6 / (n**3 - n)
    z, z_without = (
        np.arctanh(np.clip(each, -bound, bound)) for each in (crossed.value, crossed.without)
    )
    low, high = _limits(z, z_without, level)
    value, value_low, value_high = nan, nan, nan
    if min(own.value, oracle.half_reliability) >= LEAST_RELIABILITY:
        value = disattenuated(crossed.value, own.value, oracle.half_reliability)
        product = np.clip(own.without * oracle.without, LEAST_RELIABILITY**2, None)
        value_low, value_high = _limits(value, crossed.without / np.sqrt(product), level)
    return OracleCorrelation(
        crossed.value,
        float(np.tanh(low)),
        float(np.tanh(high)),
        own.value,
        float(value),
        float(value_low),
        float(value_high),
    )


def _limits(value: float, without: Array, level: float) -> tuple[float, float]:
    """The interval of Student's t about a value, from the values without each item."""
    n = len(without)
    if n < FEWEST_FOR_INTERVAL or np.isnan(value) or np.isnan(without).any():
        return float("nan"), float("nan")
    radius = jackknife_radius(float(jackknife_variance(without)), n, level)
    return float(value - radius), float(value + radius)


def disattenuated_limits(
    spearman: Array, reliability: Array, oracle: Array, level: float
) -> tuple[float, float, float]:
    """The disattenuated coefficient of several layers, with its interval over the layers.

    The sum of the coefficients by the sum of what noise leaves of 1, sqrt(r_c r_o), each layer
    counting the same; jackknife over the layers. NaN where the mean of either reliability over the
    layers is below `LEAST_RELIABILITY`, as in one layer.

    Examples
    --------
    >>> import numpy as np
    >>> half = np.full(4, 0.5)
    >>> disattenuated_limits(np.array([0.2, 0.3, 0.2, 0.3]), half, half, 0.95)
    (0.5, 0.316..., 0.683...)
    """
    value, without = _pooled(spearman, reliability, oracle)
    return value, *_limits(value, without, level)


def disattenuated_difference(
    first: tuple[Array, Array, Array], second: tuple[Array, Array, Array], level: float
) -> tuple[float, float, float]:
    """By how much the pooled coefficient of one criterion exceeds that of another, and limits.

    Both are those of `disattenuated_limits`, and each layer is left out of both at once: what
    layers have in common, as the noise of their oracle, is in neither limit.

    Parameters
    ----------
    first, second : tuple of arrays
        `spearman`, `reliability` and `oracle` of each criterion in the same layers.
    level : float
        Confidence level.

    Examples
    --------
    The second is lower by .1 in every layer, however these differ:

    >>> import numpy as np
    >>> one, high = np.ones(4), np.array([0.2, 0.9, 0.3, 0.6])
    >>> found = disattenuated_difference((high, one, one), (high - 0.1, one, one), 0.95)
    >>> [round(each, 6) for each in found]
    [0.1, 0.1, 0.1]
    """
    (one, one_without), (other, other_without) = (_pooled(*each) for each in (first, second))
    return one - other, *_limits(one - other, one_without - other_without, level)


def _pooled(spearman: Array, reliability: Array, oracle: Array) -> tuple[float, Array]:
    """The disattenuated coefficient of all layers, and without each; NaN where undefined."""
    nothing = np.full(len(spearman), np.nan)
    if not len(spearman) or min(reliability.mean(), oracle.mean()) < LEAST_RELIABILITY:
        return float("nan"), nothing
    kept = np.sqrt(np.clip(reliability, 0, None) * np.clip(oracle, 0, None))
    total, left = spearman.sum(), kept.sum()
    if not left > 0:
        return float("nan"), nothing
    rest = left - kept
    np.divide(total - spearman, rest, out=nothing, where=rest > 0)
    return float(total / left), nothing
