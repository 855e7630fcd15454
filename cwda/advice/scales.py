"""One ranking over all layers: on the scores as they are, or normalised by layer?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import get_args

from cwda.advice.result import GlobalScale
from cwda.choices import Normalisation
from cwda.layers import Network
from cwda.pruning import Plan
from cwda.pruning.selection import CriterionScores, plan_of_lowest
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.scores import LayerScores
from cwda.theory.shares import between_layers

__all__ = ["scale_advice"]

SCALES: tuple[str | None, ...] = (None, *get_args(Normalisation))


def scale_advice(
    network: Network,
    scored: Sequence[LayerScores],
    ratio: float,
    cluster: Sequence[int],
    advised: str,
    same: float,
) -> tuple[list[GlobalScale], str | None]:
    """What a global ranking takes on each scale, and the scale advised.

    Scores stay as they are if the criterion advised then empties no layer, and its cluster agrees
    on the network as it does in the layers. Otherwise the scale that empties fewest layers, and
    of several the one on which the cluster agrees most, to one decimal; then the first.

    Parameters
    ----------
    cluster : sequence of int
        Places of the criteria in the cluster of the one advised.
    advised : str
        The criterion advised.
    same : float
        The kappa from which criteria stand for one another.
    """
    names = scored[0].criteria if scored else ()
    plans = {
        scale: {
            name: _plan(network, scored, at, ratio, scale)
            for at, name in enumerate(names)
            if name != RANDOM
        }
        for scale in SCALES
    }
    if not advised or not any(plan.pruned for plan in plans[None].values()):
        return [], None
    own = [names[at] for at in cluster]
    chosen = min(SCALES, key=lambda scale: _rank(plans[scale], own, advised))
    raw = plans[None]
    if not raw[advised].emptied and not _lowest(raw, advised, own) < same:
        chosen = None
    return [
        GlobalScale(
            network.name,
            scale or "none",
            name,
            emptied=len(plan.emptied),
            between=_between(scored, names.index(name)) if scale is None else math.nan,
            agreement=_lowest(plans[scale], name, own) if name in own else math.nan,
            agreement_all=_lowest(plans[scale], name, [*plans[scale]]),
            advised=scale == chosen,
        )
        for scale in SCALES
        for name, plan in plans[scale].items()
    ], chosen


def _plan(
    network: Network, scored: Sequence[LayerScores], at: int, ratio: float, scale: str | None
) -> Plan:
    rows = {row.layer.name: row.values[at] for row in scored if not row.reasons[at]}
    reasons = {row.layer.name: row.reasons[at] for row in scored if row.reasons[at]}
    scores = CriterionScores(scored[0].criteria[at], rows, reasons)
    return plan_of_lowest(network, scores, ratio, "global", scale)


def _rank(plans: dict[str, Plan], own: Sequence[str], advised: str) -> tuple[int, float]:
    """Layers emptied, then disagreement of the cluster: the least of a pair."""
    lowest = [_kappa(plans[a], plans[b]) for a, b in itertools.combinations(own, 2)]
    return len(plans[advised].emptied), -round(min(lowest, default=1.0), 1)


def _lowest(plans: dict[str, Plan], name: str, others: Sequence[str]) -> float:
    values = [_kappa(plans[name], plans[other]) for other in others if other != name]
    return min(values, default=math.nan)


def _kappa(a: Plan, b: Plan) -> float:
    """Agreement beyond chance of two selections, among the layers that both rank."""
    layers = [name for name in a.n_filters if name in b.n_filters]
    total = sum(a.n_filters[name] for name in layers)
    first, second = (sum(len(plan.pruned[name]) for name in layers) for plan in (a, b))
    both = sum(len({*a.pruned[name]} & {*b.pruned[name]}) for name in layers)
    if not total:
        return math.nan
    by_chance = (first * second + (total - first) * (total - second)) / total**2
    observed = (total - first - second + 2 * both) / total
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def _between(scored: Sequence[LayerScores], at: int) -> float:
    """Share of the variance of a criterion's scores that lies between layers."""
    rows = [row.values[at] for row in scored if not row.reasons[at]]
    if not rows:
        return math.nan
    return between_layers(
        [float(row.mean()) for row in rows],
        [float(row.std(correction=0)) for row in rows],
        [len(row) for row in rows],
    )
