"""`contrast`: in which conditions two networks differ beyond noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from cwda.arguments import choose
from cwda.choices import Contrasted, Scale
from cwda.conditions.check import check, choose_conditions
from cwda.conditions.condition import Condition
from cwda.conditions.layerwise import require_level, require_margin
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult
from cwda.conditions.whole.contrast_result import Contrast, ContrastRow, LayerPair
from cwda.conditions.whole.contrast_sentences import sentences
from cwda.conditions.whole.pairing import kept, pairs
from cwda.conditions.whole.pooled import LayerEffects, Pooled, judged, normal_quantile, pool
from cwda.errors import CwdaError
from cwda.layers import distinct
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.numerics.jackknife import jackknife_variance
from cwda.typing import Device

__all__ = ["contrast", "correlation_of", "difference_interval", "resolve_margins"]

#: The share of a condition's margin within which two effects count as the same.
WITHIN = 0.5

#: Paired layers from which the scatter of their differences is used.
_ENOUGH = 5

#: Cosine between paired weights, in the median layer, from which their errors are related.
_RELATED = 0.3

#: No two estimates are taken to be more alike than this.
_MOST = 0.99


def contrast(
    a: Source,
    b: Source,
    conditions: str | Condition | Iterable[str | Condition] | None = None,
    *,
    margins: Mapping[str, float] | None = None,
    scale: Scale = "raw",
    level: float = 0.95,
    device: Device = "auto",
    progress: bool = True,
) -> Contrast:
    r"""Compare the effects of two networks, such as before and after fine-tuning.

    Where the layers match, in name and shape or all in order, the effects are those of the layers
    that both networks share. Else they are those of each network as a whole. With effects e_a and
    e_b, their intervals and the correlation r of their errors, the interval of e_b - e_a has the
    limits

        (e_b - e_a) - sqrt((e_b - l_b)^2 + (u_a - e_a)^2 - 2 r (e_b - l_b) (u_a - e_a)),
        (e_b - e_a) + sqrt((u_b - e_b)^2 + (e_a - l_a)^2 - 2 r (u_b - e_b) (e_a - l_a)).

    Weights that stem from the same start have errors in common. r is what makes the variance of
    the difference the scatter of the paired layers' differences (by the jackknife over the layers,
    with Student's t), and 0 where that is larger than the sum of both variances, or the weights
    are not related: a median cosine of .3 or less.

    Parameters
    ----------
    a, b : Network, or anything that `cwda.load` takes
        The two networks.
    conditions : str, Condition, or iterable of such, optional
        As in `cwda.check`: all by default.
    margins : mapping of str to float, optional
        Largest difference of effects that counts as negligible, by the name of the condition;
        half of the condition's margin by default.
    scale : str
        "raw" for filters as they are, "unit" for their directions.
    level : float
        Confidence with which all intervals hold together.
    device : str or torch.device
        "auto" (CUDA if there is one), "cpu", "cuda", ...
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    Contrast
        `.sentences` say what differs, `.table` has one row per condition, `.layer_table` one per
        layer and condition that both networks share.

    Raises
    ------
    CwdaError
        If a source cannot be read, a condition is unknown, or a margin, the scale, the level or
        the device is impossible.

    References
    ----------
    Zou (2007), "Toward using confidence intervals to compare correlations", Psychological
    Methods 12: the interval of a difference from two intervals (MOVER).

    Examples
    --------
    >>> import cwda
    >>> found = cwda.contrast("resnet20-cifar10:init", "resnet20-cifar10", ["mean", "epsilon"])
    >>> found.table[["condition", "verdict"]].values.tolist()
    [['mean', 'differs'], ['epsilon', 'differs']]
    """
    wanted = choose_conditions(conditions)
    allowed = resolve_margins(margins, wanted)
    require_level(level)
    networks = distinct([network_of(a), network_of(b)])
    each = 1 - (1 - level) / len(wanted)
    checked = check(networks, wanted, scale=scale, level=each, device=device, progress=progress)
    sides = _Sides.of(checked)
    rows = [_row(sides, condition.name, allowed[condition.name], each) for condition in wanted]
    names = networks[0].name, networks[1].name
    return Contrast(
        tuple(rows),
        tuple(networks),
        level=level,
        sentences=sentences(*names, rows, sides.kept),
        layers=tuple(sides.layer_pairs()),
    )


def resolve_margins(
    margins: Mapping[str, float] | None,
    conditions: str | Condition | Iterable[str | Condition] | None,
) -> dict[str, float]:
    """The largest difference that counts as negligible, for each condition that is compared.

    Raises
    ------
    CwdaError
        If a name is not among the conditions compared, or a margin is not a positive number.
    """
    if not isinstance(margins, Mapping | None):
        raise CwdaError(
            f"margins are given by condition, such as {{'mean': 0.05}}, "
            f"not an object of type {type(margins).__name__}"
        )
    wanted = choose_conditions(conditions)
    resolved = {condition.name: WITHIN * condition.margin for condition in wanted}
    for name, value in (margins or {}).items():
        (known,) = choose([name], resolved, "condition that is compared")
        resolved[known] = require_margin(known, value)
    return resolved


@dataclass(frozen=True)
class _Sides:
    """The rows of both networks, and the layers that they share.

    Attributes
    ----------
    a, b : dict
        Rows of each network by condition and layer.
    names : dict of str to str
        Name of a layer in the second network by its name in the first, if they are paired.
    kept : dict of str to float
        Cosine between their weights.
    scale : str
        That of the filters.
    """

    a: dict[str, dict[str, ConditionResult]]
    b: dict[str, dict[str, ConditionResult]]
    names: dict[str, str]
    kept: dict[str, float]
    scale: Scale

    @classmethod
    def of(cls, checked: CheckResult) -> _Sides:
        first, second = checked.networks
        found = pairs(first, second)
        sides: list[dict[str, dict[str, ConditionResult]]] = []
        for network in (first, second):
            by_condition: dict[str, dict[str, ConditionResult]] = {}
            for row in checked.rows:
                if row.network == network.name:
                    by_condition.setdefault(row.condition, {})[row.layer] = row
            sides.append(by_condition)
        names = {one.name: other.name for one, other in found}
        cosines = {one.name: kept(one, other) for one, other in found}
        return cls(sides[0], sides[1], names, cosines, checked.scale)

    @property
    def related(self) -> bool:
        """Whether the weights of the paired layers have a start in common."""
        known = [cosine for cosine in self.kept.values() if not math.isnan(cosine)]
        return bool(known) and statistics.median(known) > _RELATED

    def rows(self, condition: str) -> tuple[list[ConditionResult], list[ConditionResult]]:
        """The rows to average: of the layers that both judge, if they are paired."""
        a, b = self.a[condition], self.b[condition]
        if not self.names:
            return judged([*a.values()]), judged([*b.values()])
        both = [(a[one], b[other]) for one, other in self.names.items()]
        both = [pair for pair in both if len(judged(pair)) == len(pair)]
        return [pair[0] for pair in both], [pair[1] for pair in both]

    def layer_pairs(self) -> Iterable[LayerPair]:
        """The rows of the layers that both networks share."""
        for one, other in self.names.items():
            for condition, rows in self.a.items():
                first, second = rows[one], self.b[condition][other]
                yield LayerPair(
                    layer=one,
                    layer_b=other,
                    condition=condition,
                    kept=self.kept[one],
                    effect_a=first.effect,
                    effect_b=second.effect,
                    verdict_a=first.verdict,
                    verdict_b=second.verdict,
                    n_weights=first.n_weights,
                )


def _row(sides: _Sides, condition: str, margin: float, level: float) -> ContrastRow:
    rows = sides.rows(condition)
    first, second = (next(iter(side[condition].values())).network for side in (sides.a, sides.b))
    row = ContrastRow(
        network_a=first,
        network_b=second,
        condition=condition,
        scale=sides.scale,
        paired=bool(sides.names),
        layers_a=len(rows[0]),
        layers_b=len(rows[1]),
        margin=margin,
    )
    if not all(rows):
        return row
    first_layers, second_layers = (LayerEffects.of(side, level) for side in rows)
    one, other = pool(rows[0], first_layers, level), pool(rows[1], second_layers, level)
    shared = correlation_of(first_layers, second_layers, level) if sides.related else 0.0
    low, high = difference_interval(one, other, shared)
    return replace(
        row,
        effect_a=one.effect,
        effect_b=other.effect,
        difference=other.effect - one.effect,
        difference_low=low,
        difference_high=high,
        correlation=shared,
        verdict=_decide(low, high, margin),
    )


def difference_interval(a: Pooled, b: Pooled, correlation: float) -> tuple[float, float]:
    """Limits of b less a, from the limits of both and the correlation of their errors (MOVER)."""
    difference = b.effect - a.effect
    below, above = (
        _spread(b.effect - b.low, a.high - a.effect, correlation),
        _spread(b.high - b.effect, a.effect - a.low, correlation),
    )
    return difference - below, difference + above


def _spread(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0))


def correlation_of(a: LayerEffects, b: LayerEffects, level: float) -> float:
    """Correlation of the errors of two means over the same layers.

    It turns the variance of independent means into that which the jackknife over the layers finds
    for their difference, as wide as Student's t makes it.
    """
    count, weights = len(a.theta), np.array(a.weights)
    if count < _ENOUGH:
        return 0.0
    one, other = np.array(a.error), np.array(b.error)
    apart = float(weights**2 @ (one**2 + other**2))
    common = 2 * math.sqrt(float(weights**2 @ one**2) * float(weights**2 @ other**2))
    if not math.isfinite(apart) or common == 0:
        return 0.0
    differences = np.array(b.theta) - np.array(a.theta)
    left = (weights @ differences - weights * differences) / (1 - weights)
    scatter = float(jackknife_variance(left))
    freedom = 1 / float(weights @ weights) - 1
    student = float(special.stdtrit(max(freedom, 1.0), (1 + level) / 2))
    wide = scatter * (student / normal_quantile(level)) ** 2
    return min(max((apart - wide) / common, 0.0), _MOST)


def _decide(low: float, high: float, margin: float) -> Contrasted:
    if not math.isfinite(low + high):
        return "unsettled"
    if -margin <= low and high <= margin:
        return "same"
    return "differs" if low > 0 or high < 0 else "unsettled"
