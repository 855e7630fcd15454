"""`contrast`: in which conditions two networks differ beyond noise."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cwda.arguments import choose
from cwda.choices import Contrasted, Scale
from cwda.conditions.check import check, choose_conditions
from cwda.conditions.condition import Condition
from cwda.conditions.layerwise import require_level, require_margin
from cwda.conditions.reference import Reference
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult
from cwda.conditions.whole.change import Change, Side, change, of_independent
from cwda.conditions.whole.contrast_result import Contrast, ContrastRow, LayerPair
from cwda.conditions.whole.contrast_sentences import Compared, sentences
from cwda.conditions.whole.pairing import RELATED, Pair, kept, pairs, same_weights, shares
from cwda.conditions.whole.pooled import LayerEffects, judged, pool
from cwda.errors import CwdaError
from cwda.layers import Network, distinct
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.typing import Device

__all__ = ["contrast", "resolve_margins"]

#: The share of a condition's margin within which two effects count as the same.
WITHIN = 0.5


def contrast(
    a: Source,
    b: Source,
    conditions: str | Condition | Iterable[str | Condition] | None = None,
    *,
    margins: Mapping[str, float] | None = None,
    scale: Scale = "raw",
    level: float = 0.95,
    reference: Reference | str | Path | None = None,
    device: Device = "auto",
    progress: bool = True,
) -> Contrast:
    r"""Compare the effects of two networks, such as before and after fine-tuning.

    Layers are paired by their names, those that are left by their order if all their shapes
    agree. Then the effects are those of the layers that both networks share, else those of each
    network as a whole. For independent effects e_a and e_b with intervals from l to u, the
    interval of e_b - e_a has the limits

        (e_b - e_a) - sqrt((e_b - l_b)^2 + (u_a - e_a)^2),
        (e_b - e_a) + sqrt((u_b - e_b)^2 + (e_a - l_a)^2).

    Weights that stem from the same start (a median cosine above .3) have errors in common. If at
    least five layers have changed, the interval is that of the mean difference of theta (by the
    jackknife over the layers, with Student's t), turned into effects. Layers with the same
    weights in both have changed by exactly 0.

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
    reference : Reference or path, optional
        Effects of many networks, as in `cwda.check`: the layers of `.layer_table` then say how
        unusual they are in each network.
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
    checked = check(
        networks,
        wanted,
        scale=scale,
        level=each,
        reference=reference,
        device=device,
        progress=progress,
    )
    sides = _Sides.of(checked)
    rows = [_row(sides, condition.name, allowed[condition.name], each) for condition in wanted]
    names = networks[0].name, networks[1].name
    return Contrast(
        tuple(rows),
        tuple(networks),
        level=level,
        sentences=sentences(*names, rows, sides.compared()),
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
    networks : tuple of Network
        Both.
    a, b : dict
        Rows of each network by condition and layer.
    pairs : tuple of Pair
        The layers that are paired.
    kept : dict of str to float
        Cosine between their weights, by the layer's name in the first network.
    same : frozenset of str
        The paired layers that have the same weights in both.
    scale : str
        That of the filters.
    """

    networks: tuple[Network, Network]
    a: dict[str, dict[str, ConditionResult]]
    b: dict[str, dict[str, ConditionResult]]
    pairs: tuple[Pair, ...]
    kept: dict[str, float]
    same: frozenset[str]
    scale: Scale

    @classmethod
    def of(cls, checked: CheckResult) -> _Sides:
        first, second = checked.networks
        found = tuple(pairs(first, second))
        sides: list[dict[str, dict[str, ConditionResult]]] = []
        for network in (first, second):
            by_condition: dict[str, dict[str, ConditionResult]] = {}
            for row in checked.rows:
                if row.network == network.name:
                    by_condition.setdefault(row.condition, {})[row.layer] = row
            sides.append(by_condition)
        cosines = {pair.one.name: kept(pair.one, pair.other) for pair in found}
        same = frozenset(pair.one.name for pair in found if same_weights(pair.one, pair.other))
        return cls((first, second), sides[0], sides[1], found, cosines, same, checked.scale)

    @property
    def related(self) -> bool:
        """Whether the weights of the paired layers that changed have a start in common."""
        cosines = [cosine for name, cosine in self.kept.items() if name not in self.same]
        known = [cosine for cosine in cosines if not math.isnan(cosine)]
        return bool(known) and statistics.median(known) > RELATED

    def rows(self, condition: str) -> tuple[list[ConditionResult], list[ConditionResult]]:
        """The rows to average: of the layers that both judge, if they are paired."""
        a, b = self.a[condition], self.b[condition]
        if not self.pairs:
            return judged([*a.values()]), judged([*b.values()])
        both = [(a[pair.one.name], b[pair.other.name]) for pair in self.pairs]
        both = [pair for pair in both if len(judged(pair)) == len(pair)]
        return [pair[0] for pair in both], [pair[1] for pair in both]

    def compared(self) -> Compared:
        """What the sentences say of the layers that are paired."""
        return Compared(
            cosines=tuple(self.kept.values()),
            by_order=sum(not pair.by_name for pair in self.pairs),
            same=len(self.same),
            layers=(len(self.networks[0]), len(self.networks[1])),
            shares=shares(*self.networks, self.pairs),
        )

    def layer_pairs(self) -> Iterable[LayerPair]:
        """The rows of the layers that both networks share."""
        for one, other, by_name in self.pairs:
            for condition, rows in self.a.items():
                first, second = rows[one.name], self.b[condition][other.name]
                yield LayerPair(
                    layer=one.name,
                    layer_b=other.name,
                    by_name=by_name,
                    condition=condition,
                    kept=self.kept[one.name],
                    effect_a=first.effect,
                    effect_b=second.effect,
                    verdict_a=first.verdict,
                    verdict_b=second.verdict,
                    percentile_a=first.percentile,
                    percentile_b=second.percentile,
                    n_weights=first.n_weights,
                )


def _row(sides: _Sides, condition: str, margin: float, level: float) -> ContrastRow:
    rows = sides.rows(condition)
    first, second = (_share(*each) for each in zip(rows, sides.networks, strict=True))
    row = ContrastRow(
        network_a=sides.networks[0].name,
        network_b=sides.networks[1].name,
        condition=condition,
        scale=sides.scale,
        paired=bool(sides.pairs),
        layers_a=len(rows[0]),
        layers_b=len(rows[1]),
        weights_a=first,
        weights_b=second,
        margin=margin,
    )
    if not all(rows):
        return row
    a, b = (_side(each, level) for each in rows)
    if sides.pairs:
        same = [each.layer in sides.same for each in rows[0]]
        found = change(a, b, same, related=sides.related, level=level)
    else:
        found = Change(*of_independent(a.pooled, b.pooled), 0.0)
    return replace(
        row,
        effect_a=a.pooled.effect,
        effect_b=b.pooled.effect,
        difference=b.pooled.effect - a.pooled.effect,
        difference_low=found.low,
        difference_high=found.high,
        correlation=found.correlation,
        verdict=_decide(found.low, found.high, margin),
    )


def _share(rows: Sequence[ConditionResult], network: Network) -> float:
    """Share of the network's weights that lies in these layers."""
    return sum(row.n_weights for row in rows) / max(network.n_weights, 1)


def _side(rows: Sequence[ConditionResult], level: float) -> Side:
    layers = LayerEffects.of(rows, level)
    return Side(layers, pool(rows, layers, level), tuple(row.effect for row in rows))


def _decide(low: float, high: float, margin: float) -> Contrasted:
    if not math.isfinite(low + high):
        return "unsettled"
    if -margin <= low and high <= margin:
        return "same"
    return "differs" if low > 0 or high < 0 else "unsettled"
