"""Which criteria form which cluster: the rows of the tables of clusters and of pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cwda.advice.agreement import Agreement
from cwda.advice.clusters import NOISY, PLACED, clusters, stand_in
from cwda.advice.costs import COSTS, cost_of
from cwda.advice.images import Images
from cwda.advice.layers import Judged
from cwda.advice.nothing import SELECTS_NONE
from cwda.advice.result import Cluster, PairAgreement
from cwda.advice.right import Right, most_right, right_of
from cwda.comparison import Validity
from cwda.formatting import listed, many
from cwda.layers import Network
from cwda.scoring import Criterion
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.scores import LayerScores

__all__ = ["Found", "cluster_rows", "pair_rows"]


@dataclass(frozen=True, eq=False)
class Found:
    """What the advice is made of."""

    network: Network
    criteria: tuple[Criterion, ...]
    scored: tuple[LayerScores, ...]
    verdicts: Mapping[tuple[str, str], Judged]
    images: Images
    validity: Validity | None

    @cached_property
    def right(self) -> dict[str, Right]:
        """How the criteria correlate with the loss; empty where it was not measured."""
        return right_of(self.validity)

    @property
    def names(self) -> tuple[str, ...]:
        """The criteria's names."""
        return tuple(criterion.name for criterion in self.criteria)


def cluster_rows(found: Found, agreement: Agreement, same: float) -> list[Cluster]:
    """Those that could be placed, the one advised first, then the others."""
    criteria = found.criteria
    reasons = {
        at: _unplaced(agreement, at) or _unknown(found.images, one.name)
        for at, one in enumerate(criteria)
        if one.name != RANDOM
    }
    placed = [at for at, reason in reasons.items() if not reason]
    costs = [cost_of(criterion) for criterion in criteria]
    within = agreement.corrected[np.ix_(placed, placed)]
    groups = [[placed[at] for at in group] for group in clusters(within, same)]
    for group in list(groups):
        if near := _undecided(agreement, group, groups, same):
            groups.remove(group)
            reasons |= dict.fromkeys(group, _noise(found.names[at] for at in near))
    stands = {tuple(group): stand_in(group, costs, agreement.corrected) for group in groups}
    groups.sort(key=lambda group: (COSTS.index(costs[stands[tuple(group)]]), -len(group)))
    best = most_right([found.names[stands[tuple(group)]] for group in groups], found.validity)
    groups = [*groups[best : best + 1], *groups[:best], *groups[best + 1 :]]
    rows = [
        _cluster(found, number, group, stands[tuple(group)], agreement)
        for number, group in enumerate(groups, start=1)
    ]
    left_out = [
        _cluster(found, 0, [at], at, agreement, reason) for at, reason in reasons.items() if reason
    ]
    return [*rows, *left_out]


def _undecided(
    agreement: Agreement, group: Sequence[int], groups: Sequence[Sequence[int]], same: float
) -> Sequence[int]:
    """The cluster that a group would join but for noise: no pair is shown to differ; or nothing.

    A pair without an interval, for want of layers, is not shown to differ.
    """
    if (agreement.latent_reliability[group] >= NOISY).any():
        return ()
    for other in groups:
        if other is not group and not (agreement.corrected_high[np.ix_(group, other)] < same).any():
            return other
    return ()


def _noise(names: Iterable[str]) -> str:
    return (
        f"the noise of the images leaves open whether it belongs with {listed([*names])}; more "
        "images are needed"
    )


def _unplaced(agreement: Agreement, at: int) -> str:
    """Why a criterion belongs to no cluster; empty if it does."""
    if not agreement.layers[at, at]:
        return SELECTS_NONE
    reliability = agreement.latent_reliability[at]
    if reliability < PLACED:
        return (
            "its latent reliability, the correlation of what it prunes with what it would prune by "
            f"other images, is {reliability:.2f} only; more images are needed"
        )
    return ""


def _unknown(images: Images, name: str) -> str:
    """Why the noise of a criterion is not known; empty if it is."""
    reason = images.unknown.get(name, "")
    return reason and f"how far it depends on the draw of the images is not known ({reason})"


def _cluster(
    found: Found,
    number: int,
    members: Sequence[int],
    stand: int,
    agreement: Agreement,
    reason: str = "",
) -> Cluster:
    names = tuple(found.names[at] for at in members)
    name = found.names[stand]
    pairs = list(itertools.combinations(members, 2))
    least = min(pairs, key=lambda pair: agreement.corrected[pair], default=None)
    judged = [
        one.tells
        for (_, criterion), one in found.verdicts.items()
        if criterion == name and one.tells is not None
    ]
    nan = float("nan")
    return Cluster(
        found.network.name,
        number,
        criteria=", ".join(names),
        stand_in=name,
        cost=cost_of(found.criteria[stand]),
        advised=number == 1,
        agreement=nan if least is None else float(agreement.corrected[least]),
        agreement_low=nan if least is None else float(agreement.corrected_low[least]),
        agreement_high=nan if least is None else float(agreement.corrected_high[least]),
        discriminates=sum(judged),
        layers=len(judged),
        **found.images.of(found.criteria[stand]),
        **found.right.get(name, Right())._asdict(),
        reason=reason or ("" if pairs else "alone: no pair to agree"),
        members=names,
    )


def pair_rows(found: Found, agreement: Agreement, same: float) -> list[PairAgreement]:
    """How each pair of criteria agrees, and whether the two stand for one another."""
    names = found.names
    return [
        PairAgreement(
            found.network.name,
            names[a],
            names[b],
            kappa=float(agreement.kappa[a, b]),
            kappa_low=float(agreement.kappa_low[a, b]),
            kappa_high=float(agreement.kappa_high[a, b]),
            latent_reliability_a=float(agreement.latent_reliability[a]),
            latent_reliability_b=float(agreement.latent_reliability[b]),
            agreement=float(agreement.corrected[a, b]),
            agreement_low=float(agreement.corrected_low[a, b]),
            agreement_high=float(agreement.corrected_high[a, b]),
            over=bool(agreement.over[a, b]),
            same=_same(agreement, a, b, same),
            layers=int(agreement.layers[a, b]),
            reason=_reason(found, agreement, a, b),
        )
        for a, b in itertools.combinations(range(len(names)), 2)
    ]


def _same(agreement: Agreement, a: int, b: int, same: float) -> str:
    if agreement.corrected_low[a, b] >= same:
        return "yes"
    return "no" if agreement.corrected_high[a, b] < same else "open"


def _reason(found: Found, agreement: Agreement, a: int, b: int) -> str:
    if not agreement.layers[a, b]:
        return "no layer in which both rank"
    unknown = dict.fromkeys(found.images.unknown.get(found.names[at], "") for at in (a, b))
    reasons = [f"noise not taken off: {reason}" for reason in unknown if reason]
    if np.isnan(agreement.kappa_low[a, b]):
        reasons.append(f"no interval from {many(int(agreement.layers[a, b]), 'layer')}")
    return "; ".join(reasons)
