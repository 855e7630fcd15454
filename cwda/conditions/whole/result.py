"""`NetworkResult`: one row per network and condition, and sentences on each network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cwda.answers import Answer, aside, column, common, rows_field, table_of
from cwda.choices import Like, Scale, Verdict
from cwda.conditions.averaging import EFFECTS
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult, by_question, decide, worse
from cwda.conditions.whole.expected import expected_counts
from cwda.conditions.whole.heterogeneity import (
    RandomEffects,
    between_layers,
    inconsistency,
    random_effects,
)
from cwda.conditions.whole.likeness import likeness, parts
from cwda.conditions.whole.pooled import LayerEffects, Pooled, judged, pool
from cwda.conditions.whole.sentences import SIZE, Extent, sentences
from cwda.conditions.whole.untrained import untrained_pvalue
from cwda.conditions.workspace import NOT_FINITE
from cwda.formatting import many
from cwda.layers import Network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NetworkCondition", "NetworkResult", "NetworkVerdict", "broken_layers", "network_result"]

NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class NetworkCondition:
    """One condition in a network as a whole: a row of the table of `CheckResult.network`."""

    network: str = common("network")
    condition: str = column("Name of the condition.")
    layers: int = column("Number of layers that the condition judges.")
    weights: float = column("Share of the network's convolution weights that lie in them.")
    effect: float = column(
        "Effect in the network: that of the mean of theta over the weights of its layers, such "
        "as the root of the mean squared effect. Estimates below 0 are averaged as they are.",
        default=NAN,
    )
    effect_low: float = column(
        "Lower limit of its interval, at the level of the answer (.90 by default).", default=NAN
    )
    effect_high: float = column("Upper limit of its interval.", default=NAN)
    margin: float = column("Largest effect that counts as negligible.")
    scale: Scale = column(
        "`raw` for weights as stored, `unit` for the filters' directions.", default="raw"
    )
    verdict: Verdict = column(
        "`holds` if the whole interval lies within the margin, `fails` if it lies beyond, "
        "`inconclusive` if neither, `not applicable` if no layer is judged. A further question "
        "of a condition has the answer of the layers with more than half of the weights.",
        default="not applicable",
    )
    note: str = column(
        "What kind of departure it is, if it fails and the condition knows several, or the further "
        "question that decides the verdict: that of the layers concerned with most weights.",
        default="",
    )
    theta: float = column("Mean of theta over the weights of the layers.", default=NAN)
    theta_se: float = column(
        r"Its standard error, $\sqrt{\sum_l w_l^2 v_l}$: of these layers, not of others like "
        "them.",
        default=NAN,
    )
    tau: float = column(
        "Standard deviation between the layers, beyond the error of their estimates, on the scale "
        "of theta (Paule and Mandel); NaN for one layer.",
        default=NAN,
    )
    i2: float = column(
        "Share of the variance of the layers' estimates that is not their error, $I^2$.",
        default=NAN,
    )
    beyond: float = column(
        "Share of the layers whose estimated effect lies beyond the margin, whatever its interval.",
        default=NAN,
    )
    weights_beyond: float = column("The same as a share of their weights.", default=NAN)
    holds: int = column("Number of layers in which the condition holds.")
    fails: int = column("Number of layers in which it fails.")
    inconclusive: int = column("Number of layers with too few filters to tell.")
    not_applicable: int = column("Number of layers about which the condition says nothing.")
    expected_holds: float = column(
        "Number of these layers that would hold in a network of the same shapes with "
        "independent normal weights, every effect 0; NaN unless margin and level are the "
        "defaults, and on unit directions.",
        default=NAN,
    )
    expected_fails: float = column("The same number of layers that would fail.", default=NAN)
    expected_inconclusive: float = column(
        "The same number of layers that would be inconclusive.", default=NAN
    )
    cause: str = aside(
        "The numbers behind `note`, in the layer with most weights of those that have it.",
        default="",
    )
    layer_effects: tuple[float, ...] = aside("Theta of the layers.", default=())
    layer_errors: tuple[float, ...] = aside("Its standard errors.", default=())
    layer_weights: tuple[float, ...] = aside("Their shares of the weights.", default=())


@dataclass(frozen=True, kw_only=True)
class NetworkVerdict:
    """Whether CWDA holds for a network: a row of `NetworkResult.verdicts`."""

    network: str = common("network")
    verdict: Verdict = column(
        "`fails` if any condition tested fails, else `inconclusive` if any is, `holds` if all "
        "that can be judged hold."
    )
    conditions: str = column("Conditions that fail, the farthest beyond its margin first.")
    layers: int = column("Number of layers that at least one condition judges.")
    n_weights: int = column("Number of weights in them.")
    untrained_pvalue: float = column(
        "P-value that the weights are those of an untrained network: independent, in each layer "
        "all normal or all uniform; NaN if no condition has a p-value."
    )
    distinguishable: bool | None = column(
        "Whether that is at most .05; undefined where there is no p-value."
    )
    like: Like = column(
        "Whether the weights are like a `trained` or an `untrained` network's: the interval of "
        "`structure` lies above .3, or at most there; `open` otherwise, `not applicable` where "
        "fewer than two of its conditions can be judged."
    )
    structure: float = column(
        "Root mean square of effect over margin, over variance, mean, epsilon and independence, "
        "which are 0 in independent weights of mean 0 without fixed zeros."
    )
    structure_low: float = column("Lower limit of its interval.")
    structure_high: float = column("Upper limit of its interval.")
    untrained_layers: int = column(
        "Number of layers that look untrained when judged alone: a `structure` of at most .3."
    )
    untrained_weights: float = column(
        "Share of the weights that lies in them; NaN where `like` is not applicable to any layer."
    )
    trained_layers: int = column(
        "Number of layers whose own `structure` certainly lies above .3, all lower limits together."
    )
    trained_weights: float = column("Share of the weights that lies in them.")
    sentences: tuple[str, ...] = column(
        "What was found, in words: the answer, what else, and what the weights are like."
    )


@dataclass(frozen=True, eq=False, repr=False)
class NetworkResult(Answer[NetworkCondition]):
    """Verdicts on networks as a whole.

    Attributes
    ----------
    rows : tuple of NetworkCondition
        One row per network and condition.
    verdicts : tuple of NetworkVerdict
        One row per network.
    networks : tuple of Network
        The networks tested.
    level : float
        Confidence of the intervals.

    Examples
    --------
    >>> import cwda
    >>> whole = cwda.check(cwda.load("resnet20-cifar10"), ["epsilon"]).network
    >>> whole.verdicts[0].verdict
    'fails'
    """

    row: ClassVar[type] = NetworkCondition
    verdicts: tuple[NetworkVerdict, ...] = rows_field(
        NetworkVerdict, "whether CWDA holds, one row per network"
    )

    def title(self) -> str:
        """What was found in each network, in words."""
        return " ".join(text for verdict in self.verdicts for text in verdict.sentences)

    def summary(self) -> pd.DataFrame:
        """Effect, interval and verdict of each condition, and how many layers hold."""
        shown = ["network", "condition", "effect", "effect_low", "effect_high", "margin"]
        return self.table[[*shown, "verdict", "layers", "holds", "expected_holds"]]

    def random_effects(self) -> pd.DataFrame:
        """The layers as a sample of such layers: mean, and a further layer of this kind.

        By `statsmodels.stats.meta_analysis.combine_effects` (iterated, Hartung and Knapp), which
        takes a second to import. The mean over the weights of these layers is `effect` in
        `table`; this one says what to expect of other layers.
        """
        return table_of(tuple(self.of_random_layers()), RandomEffects)

    def of_random_layers(self) -> list[RandomEffects]:
        """The rows of `random_effects`."""
        return [_random(row, self.level) for row in self.rows if row.layers]


def network_result(
    rows: Iterable[ConditionResult], networks: Sequence[Network], level: float
) -> NetworkResult:
    """Judge networks as a whole, from the rows of their layers."""
    found: list[NetworkCondition] = []
    verdicts: list[NetworkVerdict] = []
    by_network: dict[str, dict[str, list[ConditionResult]]] = {one.name: {} for one in networks}
    for row in rows:
        by_network[row.network].setdefault(row.condition, []).append(row)
    for network in networks:
        conditions = by_network[network.name]
        own = [_row(network, parts, level) for parts in conditions.values()]
        found += own
        verdicts.append(_verdict(network, own, list(conditions.values()), level))
    return NetworkResult(tuple(found), tuple(networks), level=level, verdicts=tuple(verdicts))


def _row(network: Network, rows: Sequence[ConditionResult], level: float) -> NetworkCondition:
    told = judged(rows)
    counts = [sum(row.verdict == verdict for row in rows) for verdict in _COUNTED]
    facts = {
        "network": network.name,
        "condition": rows[0].condition,
        "layers": len(told),
        "weights": sum(row.n_weights for row in told) / max(sum(r.n_weights for r in rows), 1),
        "margin": rows[0].margin,
        "scale": rows[0].scale,
        **dict(zip(("holds", "fails", "inconclusive", "not_applicable"), counts, strict=True)),
    }
    if not told:
        return NetworkCondition(**facts)  # type: ignore[arg-type]
    layers = LayerEffects.of(told, level)
    pooled = pool(told, layers, level)
    theta, variance = np.array(layers.theta), np.array(layers.error) ** 2
    beyond = [row.effect > row.margin for row in told]
    sizes = {layer.name: (layer.channels, layer.kernel_size) for layer in network}
    expected = expected_counts(told, sizes, level)
    note, cause = _note(told, pooled)
    return NetworkCondition(
        **facts,  # type: ignore[arg-type]
        effect=pooled.effect,
        effect_low=pooled.low,
        effect_high=pooled.high,
        verdict=pooled.verdict,
        note=note,
        cause=cause,
        theta=pooled.theta,
        theta_se=pooled.error,
        tau=math.sqrt(between_layers(theta, variance)),
        i2=inconsistency(theta, variance),
        beyond=sum(beyond) / len(told),
        weights_beyond=sum(w for w, is_ in zip(layers.weights, beyond, strict=True) if is_),
        expected_holds=expected[0],
        expected_fails=expected[1],
        expected_inconclusive=expected[2],
        layer_effects=layers.theta,
        layer_errors=layers.error,
        layer_weights=layers.weights,
    )


_COUNTED: tuple[Verdict, ...] = ("holds", "fails", "inconclusive", "not applicable")


def _note(rows: Sequence[ConditionResult], pooled: Pooled) -> tuple[str, str]:
    """The commonest note by weights of the layers that made the verdict, and its numbers."""
    by_interval = decide(pooled.low, pooled.high, rows[0].margin)
    if pooled.verdict != by_interval:
        told = [row for row in rows if by_question(row)]
        told = [row for row in told if row.verdict == pooled.verdict] or told
    else:
        told = [row for row in rows if row.verdict == pooled.verdict == "fails"]
    weights: dict[str, int] = {}
    for row in told:
        weights[row.note] = weights.get(row.note, 0) + row.n_weights
    note = max(weights, key=lambda note: weights[note], default="")
    alike = [row for row in told if row.note == note and row.cause]
    if not alike:
        return note, ""
    largest = max(alike, key=lambda row: row.n_weights)
    where = f"in layer {largest.layer}, the largest of {len(alike)}, "
    return note, (where if len(alike) > 1 else f"in layer {largest.layer} ") + largest.cause


def _verdict(
    network: Network,
    findings: Sequence[NetworkCondition],
    conditions: Sequence[Sequence[ConditionResult]],
    level: float,
) -> NetworkVerdict:
    found, all_ = _extent(map(judged, conditions)), _extent(conditions)
    pvalue, alike = untrained_pvalue(conditions), likeness(findings, level)
    layers = parts(conditions, level)
    told = [one.verdict for one in findings if one.layers]
    failing = [one for one in findings if one.verdict == "fails"]
    failing.sort(key=lambda one: one.effect / one.margin, reverse=True)
    return NetworkVerdict(
        network=network.name,
        verdict=worse(*told) if told else "not applicable",
        conditions=", ".join(one.condition for one in failing),
        layers=found.layers,
        n_weights=found.weights,
        untrained_pvalue=pvalue,
        distinguishable=None if math.isnan(pvalue) else pvalue <= SIZE,
        like=alike.like,
        structure=alike.structure,
        structure_low=alike.low,
        structure_high=alike.high,
        untrained_layers=layers.untrained_layers,
        untrained_weights=layers.untrained_weights,
        trained_layers=layers.trained_layers,
        trained_weights=layers.trained_weights,
        sentences=sentences(
            network.name,
            findings,
            found,
            all_,
            alike,
            layers,
            pvalue,
            _reason(conditions),
            broken_layers(row for rows in conditions for row in rows),
        ),
    )


def _reason(conditions: Sequence[Sequence[ConditionResult]]) -> str:
    """The reason that keeps most layers from being judged, and in how many."""
    reasons: dict[str, set[str]] = {}
    for rows in conditions:
        for row in rows:
            if row.verdict == "not applicable":
                reasons.setdefault(row.reason, set()).add(row.layer)
    if not reasons:
        return ""
    most = max(reasons, key=lambda reason: len(reasons[reason]))
    return f"in {many(len(reasons[most]), 'layer')}: {most}"


def broken_layers(rows: Iterable[ConditionResult]) -> dict[str, str]:
    """The layers with weights that are NaN or infinite, and how many those are."""
    return {row.layer: row.reason for row in rows if row.reason.endswith(NOT_FINITE)}


def _extent(conditions: Iterable[Sequence[ConditionResult]]) -> Extent:
    sizes = {row.layer: row.n_weights for rows in conditions for row in rows}
    return Extent(sum(sizes.values()), len(sizes))


def _random(row: NetworkCondition, level: float) -> RandomEffects:
    known = CONDITIONS.get(row.condition)
    averaging = known.averaging if known else EFFECTS
    layers = LayerEffects(row.layer_effects, row.layer_errors, row.layer_weights, averaging)
    return random_effects(row.network, row.condition, layers, level)
