"""`advise`: from the likeness and the power of criteria to what a researcher should do."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cwda.advice.agreement import Agreement, agree
from cwda.advice.clusters import NOISY, PLACED, SAME, clusters, stand_in
from cwda.advice.costs import BASELINE, COSTS, cost_of
from cwda.advice.images import Images, images_of
from cwda.advice.layers import Judged, differences_of, judged, layer_advice
from cwda.advice.result import Advice, Cluster, PairAgreement
from cwda.advice.right import Right, most_right, right_of
from cwda.advice.scales import scale_advice
from cwda.advice.sentences import listed, sentences
from cwda.arguments import require_between, require_type
from cwda.comparison import Validity, applicability
from cwda.errors import SelectionError
from cwda.formatting import many
from cwda.layers import Network
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.progress import showing
from cwda.scoring import NORM_BASED, Collected, Criterion, reliability
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.sharing import sharing
from cwda.typing import Device

__all__ = ["advise"]


def advise(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    ratio: float = 0.5,
    same: float = SAME,
    level: float = 0.95,
    validity: Validity | None = None,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Advice:
    """Say what to prune a network by, at one ratio.

    Criteria whose pruned sets agree by `same` or more, beyond chance and beyond the noise of the
    images, form a cluster; the cheapest of each stands for the others. A criterion that differs by
    noise alone has no cluster of its own: more images are asked for. The criterion advised is
    the stand-in of the cheapest cluster, of several that of the largest. Layers in which no
    criterion can tell filters apart are named, and whether a global ranking needs normalising.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to prune: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria. `random` is the zero and is never advised.
    ratio : float
        Share of filters to prune, between 0 and 1.
    same : float
        The kappa from which two criteria stand for one another: at .75, and a ratio of 1/2, seven
        of eight pruned filters are the same.
    level : float
        Confidence level of the intervals.
    validity : Validity, optional
        What `cwda.validity` gave for this network: how far rankings agree with the loss when
        filters are removed. The stand-in whose pooled coefficient is highest is then advised, if
        its interval lies above the coefficient of the cheapest cluster and above 0.
    data, batch_size
        What criteria that need activations or gradients run a Module on; the same as in
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    Advice
        Its ``.sentences`` are the advice in words, ``.criterion`` and ``.normalise`` what to hand
        to `cwda.make_plan`; ``.table`` has one row per layer.

    Raises
    ------
    CriterionError
        If a criterion is unknown; the message names the nearest.
    SelectionError
        If the ratio or the threshold does not lie between 0 and 1.
    CwdaError
        If the level or the device is impossible.

    References
    ----------
    Huang et al. (2021), sections 3 and 4: similarity and applicability. Cohen (1960), A
    coefficient of agreement for nominal scales, Educational and Psychological Measurement 20.

    Examples
    --------
    >>> import cwda
    >>> advice = cwda.advise("resnet20-cifar10", ["l1", "l2", "gm"], ratio=0.5)
    >>> advice.criterion
    'l2'
    >>> advice.cluster_table[["criteria", "stand_in"]].values.tolist()
    [['l1, l2, gm', 'l2']]
    """
    require_between(ratio, 0, 1, "a pruning ratio", SelectionError)
    require_between(
        same, 0, 1, "same, the agreement from which criteria are alike,", SelectionError
    )
    require_between(level, 0, 1, "level")
    if validity is not None:
        require_type(validity, Validity, "validity, an answer of cwda.validity,")
    resolved = resolve(criteria)
    with showing(progress), sharing():
        network, collected = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        scored = list(score_network(network, resolved, device, collected.layers))
        asked: dict[str, Any] = {
            "ratio": ratio,
            "level": level,
            "data": collected,
            "device": device,
        }
        looking = [criterion for criterion in resolved if criterion.needs_images]
        found = _Found(
            network,
            tuple(resolved),
            tuple(scored),
            judged(applicability(network, resolved, **asked)),
            images_of(reliability(network, looking, **asked) if looking else None),
            right_of(validity),
        )
    return _advice(found, ratio, same, level)


@dataclass(frozen=True, eq=False)
class _Found:
    """What the advice is made of."""

    network: Network
    criteria: tuple[Criterion, ...]
    scored: tuple[LayerScores, ...]
    verdicts: Mapping[tuple[str, str], Judged]
    images: Images
    right: Mapping[str, Right]

    @property
    def names(self) -> tuple[str, ...]:
        """The criteria's names."""
        return tuple(criterion.name for criterion in self.criteria)


def _advice(found: _Found, ratio: float, same: float, level: float) -> Advice:
    """The answer, from what was measured."""
    network, names = found.network, found.names
    differences = differences_of(found.scored, ratio, found.images.changed, len(names))
    agreement = agree(differences, level)
    groups = _clusters(found, agreement, same)
    pairs = _pairs(found, agreement, same)
    chosen = next((row for row in groups if row.advised), None)
    advised = chosen.stand_in if chosen else ""
    cluster = [names.index(name) for name in chosen.members] if chosen else []
    layers = layer_advice(
        network.name, found.scored, differences, found.verdicts, cluster, advised, same
    )
    scales, normalise = scale_advice(network, found.scored, ratio, cluster, advised, same)
    return Advice(
        tuple(layers),
        (network,),
        level=level,
        sentences=tuple(
            sentences(network.name, ratio, same, groups, pairs, layers, scales, found.images.number)
        ),
        clusters=tuple(groups),
        pairs=tuple(pairs),
        scales=tuple(scales),
        criterion=advised,
        normalise=normalise,
        criteria=names,
        ratio=ratio,
        same=same,
        images=found.images.number,
    )


def _clusters(found: _Found, agreement: Agreement, same: float) -> list[Cluster]:
    """Those that could be placed, the one advised first, then the others."""
    criteria = found.criteria
    reasons = {
        at: _unplaced(agreement, at) for at, one in enumerate(criteria) if one.name != BASELINE
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
    best = most_right([found.names[stands[tuple(group)]] for group in groups], found.right)
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
    """The cluster that a group would join but for noise: no pair is shown to differ; or nothing."""
    if (agreement.reliability[group] >= NOISY).any():
        return ()
    for other in groups:
        if other is not group and (agreement.corrected_high[np.ix_(group, other)] >= same).all():
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
        return "it selects filters in no layer"
    reliability = agreement.reliability[at]
    if reliability < PLACED:
        return (
            f"its scores correlate by {reliability:.2f} only with those from other images; more "
            "images are needed"
        )
    return ""


def _cluster(
    found: _Found,
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


def _pairs(found: _Found, agreement: Agreement, same: float) -> list[PairAgreement]:
    names = found.names
    return [
        PairAgreement(
            found.network.name,
            names[a],
            names[b],
            kappa=float(agreement.kappa[a, b]),
            kappa_low=float(agreement.kappa_low[a, b]),
            kappa_high=float(agreement.kappa_high[a, b]),
            reliability_a=float(agreement.reliability[a]),
            reliability_b=float(agreement.reliability[b]),
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


def _reason(found: _Found, agreement: Agreement, a: int, b: int) -> str:
    if not agreement.layers[a, b]:
        return "no layer in which both rank"
    unknown = dict.fromkeys(found.images.unknown.get(found.names[at], "") for at in (a, b))
    reasons = [f"noise not taken off: {reason}" for reason in unknown if reason]
    if np.isnan(agreement.kappa_low[a, b]):
        reasons.append(f"no interval from {many(int(agreement.layers[a, b]), 'layer')}")
    return "; ".join(reasons)
