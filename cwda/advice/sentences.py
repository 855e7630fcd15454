"""Advice in plain words, one sentence for each thing that a reader has to decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from cwda.advice.result import (
    APART,
    CHOOSE,
    NO_RANKING,
    OTHER,
    UNJUDGED,
    Cluster,
    GlobalScale,
    LayerAdvice,
    PairAgreement,
    Sentence,
    ranks,
)
from cwda.formatting import listed, many, number, percent

__all__ = ["sentences"]

#: Layers and pairs that a sentence names.
_NAMED = 3

#: The share of the filters pruned that may depend on the draw of the images.
_SETTLED = 0.1

#: What likeness cannot say.
_UNKNOWN = "Likeness does not tell which cluster is right: compare one of each in an experiment."

Told = Iterator[tuple[str, str]]


def sentences(
    network: str,
    ratio: float,
    same: float,
    clusters: Sequence[Cluster],
    pairs: Sequence[PairAgreement],
    layers: Sequence[LayerAdvice],
    scales: Sequence[GlobalScale],
    images: int,
) -> list[Sentence]:
    """The advice, the most important first."""
    chosen = next((row for row in clusters if row.advised), None)
    told = [
        *_no_ranking(layers),
        *_near_dead(layers),
        *_criterion(ratio, chosen, ranks(layers)),
        *_others(clusters, pairs, same, ranks(layers)),
        *_right(clusters),
        *_open(clusters, pairs, same),
        *_layers(layers),
        *_images(clusters, images),
        *(_global(chosen.stand_in, scales) if chosen else ()),
    ]
    return [Sentence(network, topic, text) for topic, text in told]


def _no_ranking(layers: Sequence[LayerAdvice]) -> Told:
    """What to do where nothing can be ranked at all, before any word of criteria."""
    if ranks(layers):
        return
    unjudged = sum(row.advice == UNJUDGED for row in layers)
    judged = len(layers) - unjudged
    where = "the one layer" if judged == 1 else f"all {judged} layers"
    yield (
        "no ranking",
        f"No ranking helps: in {where}{' that could be judged' * bool(unjudged)} no criterion can "
        "tell filters apart, so that a random choice should serve as well.",
    )


def _near_dead(layers: Sequence[LayerAdvice]) -> Told:
    dead = sorted(
        (row for row in layers if row.near_dead), key=lambda row: -row.near_dead / row.n_filters
    )
    if dead:
        named = [f"{row.near_dead} of {row.n_filters} in {row.layer}" for row in dead[:_NAMED]]
        if len(dead) > _NAMED:
            named.append(f"some in {many(len(dead) - _NAMED, 'more layer')}")
        yield "near-dead", f"Prune the near-dead filters first: {listed(named)}."


def _criterion(ratio: float, chosen: Cluster | None, useful: bool) -> Told:
    if chosen is None:
        yield "criterion", "No criterion can be advised."
        return
    rest = _rest(chosen)
    start = f"To prune {percent(ratio)} of the filters, rank them by {chosen.stand_in}"
    if not useful:
        start = f"If a ranking is wanted nevertheless, take {chosen.stand_in}"
    if not rest:
        yield "criterion", f"{start}; no other criterion given is shown to be like it."
        return
    interval = ""
    if not math.isnan(chosen.agreement_low):
        interval = f", interval {number(chosen.agreement_low)} to {number(chosen.agreement_high)}"
    yield (
        "criterion",
        f"{start}, which stands for {listed(rest)}: they prune nearly the same filters (kappa at "
        f"least {number(chosen.agreement)}{interval}; 0 is chance, 1 the same).",
    )


def _rest(cluster: Cluster) -> list[str]:
    return [name for name in cluster.members if name != cluster.stand_in]


def _others(
    clusters: Sequence[Cluster], pairs: Sequence[PairAgreement], same: float, useful: bool
) -> Told:
    placed = [row for row in clusters if row.cluster]
    other = [row for row in placed if not row.advised]
    if other:
        judged = any(not math.isnan(row.validity) for row in placed)
        groups = "; ".join(
            f"{row.stand_in}, which also stands for {listed(rest)}"
            if (rest := _rest(row))
            else row.stand_in
            for row in other
        )
        verb = "prunes" if len(other) == 1 else "prune"
        yield (
            "alternatives",
            f"{many(len(other), 'other cluster')} of criteria {verb} different filters: {groups}"
            + _but_open(_undecided(placed, pairs, together=False), same)
            + ("." if judged or not useful else f". {_UNKNOWN}"),
        )
    for row in clusters:
        if not row.cluster:
            yield "left out", f"{row.stand_in} was not placed: {row.reason}."


def _right(clusters: Sequence[Cluster]) -> Told:
    """What the loss without filters says of the stand-ins."""
    known = [row for row in clusters if row.cluster and not math.isnan(row.validity)]
    if not known:
        return
    values = "; ".join(
        f"{row.stand_in} {number(row.validity)} ({number(row.validity_low)} to "
        f"{number(row.validity_high)})"
        for row in known
    )
    start = f"Rank correlation with the loss when filters are removed: {values}"
    if any(row.validity_low > 0 for row in known):
        yield "validity", f"{start}; 0 is random, 1 is right."
    else:
        yield "validity", f"{start}; none is shown to rank better than random."


def _undecided(
    clusters: Sequence[Cluster], pairs: Sequence[PairAgreement], *, together: bool
) -> list[PairAgreement]:
    """Pairs that may belong in one cluster or not, of those that were put together, or apart."""
    cluster_of = {name: row.cluster for row in clusters if row.cluster for name in row.members}
    return [
        row
        for row in pairs
        if row.same == "open"
        and {row.criterion_a, row.criterion_b} <= cluster_of.keys()
        and (cluster_of[row.criterion_a] == cluster_of[row.criterion_b]) == together
    ]


def _but_open(undecided: Sequence[PairAgreement], same: float) -> str:
    if not undecided:
        return ""
    why = _why_open(undecided, same)
    return f"; but whether {_pairs(undecided)} together is open, as {why}"


def _pairs(undecided: Sequence[PairAgreement]) -> str:
    """The pairs, each with its agreement, as the subject of a sentence."""
    names = [f"{row.criterion_a} with {row.criterion_b} ({_agreement(row)})" for row in undecided]
    return f"{_named(names)} {'belongs' if len(names) == 1 else 'belong'}"


def _agreement(row: PairAgreement) -> str:
    if math.isnan(row.agreement_low):
        return number(row.agreement)
    limits = f"{number(row.agreement_low)} to {number(row.agreement_high)}"
    return f"{number(row.agreement)}, interval {limits}"


def _why_open(undecided: Sequence[PairAgreement], same: float) -> str:
    stands = f"{number(same)}, from which criteria stand for one another"
    if all(math.isnan(row.agreement_low) for row in undecided):
        return f"so few layers give no interval of kappa to hold against {stands}"
    return f"the interval of kappa includes {stands}"


def _open(clusters: Sequence[Cluster], pairs: Sequence[PairAgreement], same: float) -> Told:
    undecided = _undecided(clusters, pairs, together=True)
    if undecided:
        why = _why_open(undecided, same)
        yield "open", f"Whether {_pairs(undecided)} in one cluster is open: {why}."


def _layers(layers: Sequence[LayerAdvice]) -> Told:
    kinds = {
        kind: [row.layer for row in layers if row.advice == kind]
        for kind in (NO_RANKING, APART, OTHER, CHOOSE, UNJUDGED)
    }
    judged = len(layers) - len(kinds[UNJUDGED])
    if kinds[NO_RANKING] and ranks(layers):
        yield (
            "layers",
            f"In {len(kinds[NO_RANKING])} of {many(judged, 'layer')} no criterion can tell filters "
            f"apart, so that a random choice should serve as well: {_named(kinds[NO_RANKING])}.",
        )
    elif judged and ranks(layers) and not kinds[APART] and not kinds[OTHER]:
        where = "the one layer" if judged == 1 else f"all {judged} layers"
        yield "layers", f"Filters can be told apart in {where} that could be judged."
    if kinds[APART]:
        filters = sum(row.apart for row in layers if row.advice == APART)
        yield (
            "layers",
            f"In {many(len(kinds[APART]), 'layer')} only {many(filters, 'filter')} far below the "
            f"others can be told apart: prune these first, and others at random: "
            f"{_named(kinds[APART])}.",
        )
    if kinds[OTHER]:
        able = sorted({row.discriminate for row in layers if row.advice == OTHER})
        yield (
            "layers",
            f"In {many(len(kinds[OTHER]), 'layer')} the criterion advised cannot tell filters "
            f"apart, though {_named(able)} can: {_named(kinds[OTHER])}.",
        )
    if kinds[CHOOSE]:
        yield (
            "layers",
            f"In {many(len(kinds[CHOOSE]), 'layer')} the criteria of the cluster advised differ by "
            f"more than chance, so that the choice matters: {_named(kinds[CHOOSE])}.",
        )
    if kinds[UNJUDGED]:
        yield (
            "layers",
            f"Not judged: {many(len(kinds[UNJUDGED]), 'layer')}, {_named(kinds[UNJUDGED])}.",
        )


def _named(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return listed(names)


def _images(clusters: Sequence[Cluster], images: int) -> Told:
    for row in clusters:
        if row.changed > _SETTLED:
            needed = _many(row) if math.isfinite(row.images_needed) else "no number of them"
            yield (
                "images",
                f"Another draw of {images:,} images would exchange {percent(row.changed)} of what "
                f"{row.stand_in} prunes; {needed} would bring that to {percent(_SETTLED)}.",
            )
        elif row.changed > 0:
            yield (
                "images",
                f"{images:,} images are enough for {row.stand_in}: another draw would exchange "
                f"{percent(row.changed)} of what it prunes.",
            )


def _many(row: Cluster) -> str:
    """Two digits are more than an extrapolation is worth."""
    return f"about {float(f'{row.images_needed:.2g}'):,.0f}"


def _global(criterion: str, scales: Sequence[GlobalScale]) -> Told:
    raw = [row for row in scales if row.normalise == "none"]
    advised = [row for row in scales if row.advised]
    if not advised:
        return
    scale = advised[0].normalise
    if scale == "none":
        yield (
            "global ranking",
            f"For one ranking over all layers use the raw scores: {_taken(raw, criterion)}.",
        )
        return
    yield (
        "global ranking",
        f"For one ranking over all layers normalise the scores by {scale}: raw, "
        f"{_taken(raw, criterion)}; normalised, {_taken(advised, criterion)}.",
    )


def _taken(rows: Sequence[GlobalScale], criterion: str) -> str:
    """What a global ranking does on one scale: by the criterion advised, and in its cluster."""
    own = next(row for row in rows if row.criterion == criterion)
    group = [row.agreement for row in rows if not math.isnan(row.agreement)]
    parts = [f"{criterion} empties {many(own.emptied, 'layer') if own.emptied else 'no layer'}"]
    if group:
        parts.append(f"its cluster agrees by {number(min(group))} or more")
    return " and ".join(parts)
