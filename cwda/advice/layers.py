"""What to do in each layer: rank, mind the criterion, or save the work."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special
from torch import Tensor

from cwda.advice.agreement import Array, Differences
from cwda.advice.nothing import ZERO
from cwda.advice.result import APART, CHOOSE, NO_RANKING, OTHER, RANK, UNJUDGED, LayerAdvice
from cwda.comparison import Applicability
from cwda.filters.near_dead import near_dead
from cwda.numerics.ranking.overlap import lowest_count, lowest_overlap
from cwda.numerics.spread import constant
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.scores import LayerScores

__all__ = ["Judged", "differences_of", "judged", "layer_advice"]

#: A layer departs from its network where chance would do so once in twenty networks.
DEPARTS = 0.05


class Judged(NamedTuple):
    """A criterion in a layer.

    Attributes
    ----------
    tells : bool or None
        Whether it tells filters apart at the ratio, at least weakly; None if that is not known.
    swap : float
        How often filters would swap in a fresh draw of filters or images, whichever is more.
    apart : int
        Filters that lie apart from all others, below them.
    """

    tells: bool | None = None
    swap: float = math.nan
    apart: int = 0


def judged(applicability: Applicability) -> dict[tuple[str, str], Judged]:
    """By layer and criterion."""
    tells = {"discriminates": True, "weakly": True, "cannot discriminate": False}
    return {
        (row.layer, row.criterion): Judged(
            tells.get(row.verdict),
            float(np.fmax(row.swap_filters, row.swap_images)),
            row.apart,
        )
        for row in applicability
    }


def _why_not(scores: Tensor, reason: str, criterion: str, ratio: float) -> str:
    """Why a criterion selects nothing in a layer; empty if it does."""
    n = len(scores)
    if reason:
        return reason
    if not 0 < lowest_count(n, ratio) < n:
        return f"{ratio:g} of {n} filter{'s' * (n != 1)} is none"
    if bool(constant(scores)):
        return f"all {n} scores of {criterion} are equal"
    return ""


def differences_of(
    scored: Sequence[LayerScores],
    ratio: float,
    redrawn: Mapping[tuple[str, str], float],
    n_criteria: int,
) -> Differences:
    """How many filters of the pruned sets differ, layer by layer.

    Parameters
    ----------
    scored : sequence of LayerScores
        The layers, under the same criteria.
    ratio : float
        Share of the filters pruned.
    redrawn : mapping of (str, str) to float
        By layer and criterion, the share of the pruned filters that another draw of as many
        images would exchange; 0 where it is not there.
    n_criteria : int
        How many criteria there are, also where there is no layer.
    """
    differing = np.full((len(scored), n_criteria, n_criteria), np.nan)
    pruned = np.zeros(len(scored))
    chance = np.zeros(len(scored))
    noise = np.zeros((len(scored), n_criteria))
    for at, layer in enumerate(scored):
        n = layer.layer.n_filters
        pruned[at] = lowest_count(n, ratio)
        chance[at] = pruned[at] * (1 - pruned[at] / n)
        parts = zip(layer.values, layer.reasons, layer.criteria, strict=True)
        usable = [i for i, (x, why, name) in enumerate(parts) if not _why_not(x, why, name, ratio)]
        if usable:
            jaccard = lowest_overlap(layer.values[usable], ratio).cpu().numpy()
            # Whole numbers of filters: J = m / (2k - m).
            shared = np.round(2 * pruned[at] * jaccard / (1 + jaccard))
            differing[at][np.ix_(usable, usable)] = pruned[at] - shared
        for i, name in enumerate(layer.criteria):
            noise[at, i] = pruned[at] * redrawn.get((layer.layer.name, name), 0.0)
    return Differences(ratio, differing, pruned, chance, noise)


def layer_advice(
    network: str,
    scored: Sequence[LayerScores],
    differences: Differences,
    verdicts: Mapping[tuple[str, str], Judged],
    cluster: Sequence[int],
    advised: str,
    same: float,
) -> list[LayerAdvice]:
    """One row per layer.

    Parameters
    ----------
    cluster : sequence of int
        Places of the criteria in the cluster of the one advised.
    advised : str
        The criterion advised.
    same : float
        The kappa from which criteria stand for one another.
    """
    rows = []
    for at, layer in enumerate(scored):
        names = layer.criteria
        known = {
            name: verdicts.get((layer.layer.name, name), Judged())
            for name in names
            if name != RANDOM
        }
        kappa = _kappas(differences, at)
        everyone = [i for i, name in enumerate(names) if name != RANDOM]
        cells = _within(kappa, cluster, names)
        departs = _departs(differences, at, cluster, same, len(scored))
        tells = [name for name, judged in known.items() if judged.tells]
        cannot = [name for name, judged in known.items() if judged.tells is False]
        own = known.get(advised, Judged())
        advice = _advice(own, departs, bool(tells), bool(cannot))
        parts = zip(layer.values, layer.reasons, names, strict=True)
        reasons = [_why_not(x, why, name, differences.ratio) for x, why, name in parts]
        if not bool(layer.layer.weight.any()):
            reasons = [ZERO]
        rows.append(
            LayerAdvice(
                network,
                layer.layer.name,
                advice,
                **cells,
                agreement_all=_mean(kappa, everyone),
                discriminate=", ".join(tells),
                cannot=", ".join(cannot),
                swap=own.swap,
                apart=own.apart,
                near_dead=near_dead(layer.layer),
                pruned=lowest_count(layer.layer.n_filters, differences.ratio),
                n_filters=layer.layer.n_filters,
                dim=layer.layer.dim,
                reason="; ".join(dict.fromkeys(filter(None, reasons))),
            )
        )
    return rows


def _advice(own: Judged, departs: bool, tells: bool, cannot: bool) -> str:
    """What to do in a layer: `own` of the criterion advised, the others of any criterion."""
    if own.tells or (own.tells is None and tells):
        return CHOOSE if departs else RANK
    if not cannot:
        return UNJUDGED
    if own.apart:
        return APART
    return OTHER if tells else NO_RANKING


def _kappas(differences: Differences, at: int) -> Array:
    """Kappa of every pair in one layer; NaN where the ratio takes none or all."""
    chance = differences.chance[at]
    kappa: Array = 1 - differences.differing[at] / (chance or np.nan)
    return kappa


def _pairs(places: Sequence[int]) -> tuple[list[int], list[int]]:
    pairs = list(itertools.combinations(places, 2))
    return [a for a, _ in pairs], [b for _, b in pairs]


def _mean(kappa: Array, places: Sequence[int]) -> float:
    values = kappa[_pairs(places)]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _within(kappa: Array, cluster: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Agreement within the cluster in one layer, and the pair that agrees least."""
    first, second = _pairs(cluster)
    values = kappa[first, second]
    if not np.isfinite(values).any():
        return {}
    least = int(np.nanargmin(values))
    return {
        "agreement": _mean(kappa, cluster),
        "lowest": float(values[least]),
        "lowest_pair": f"{names[first[least]]}-{names[second[least]]}",
    }


def _departs(
    differences: Differences, at: int, cluster: Sequence[int], same: float, layers: int
) -> bool:
    """Whether a pair of the cluster differs in more filters here than its kappa explains.

    With a kappa of `same` each of the k pruned filters is one that the other keeps with
    probability (1 - same) (1 - k/n); binomial, by Bonferroni over the layers and pairs.
    """
    first, second = _pairs(cluster)
    differing = differences.differing[at][first, second]
    differing = differing[np.isfinite(differing)]
    chance = differences.chance[at]
    if not len(differing) or not chance:
        return False
    pruned = differences.pruned[at]
    most = float(differing.max())
    if not most:
        return False
    # P(X >= most) of the binomial law; scipy.stats takes most of a second to import.
    tail = special.betainc(most, pruned - most + 1, (1 - same) * chance / pruned)
    return bool(tail < DEPARTS / (layers * len(differing)))
