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
        *_criterion(ratio, chosen),
        *_others(clusters, pairs, same),
        *_right(clusters),
        *_open(clusters, pairs, same),
        *_layers(layers),
        *_images(clusters, images),
        *(_global(chosen.stand_in, scales) if chosen else ()),
    ]
    return [Sentence(network, topic, text) for topic, text in told]


def _criterion(ratio: float, chosen: Cluster | None) -> Told:
    if chosen is None:
        yield "criterion", "No criterion can be advised."
        return
    rest = _rest(chosen)
    start = f"To prune {percent(ratio)} of the filters, rank them by {chosen.stand_in}"
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


def _others(clusters: Sequence[Cluster], pairs: Sequence[PairAgreement], same: float) -> Told:
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
            + ("." if judged else f". {_UNKNOWN}"),
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
) -> list[str]:
    """Pairs that may belong in one cluster or not, of those that were put together, or apart."""
    cluster_of = {name: row.cluster for row in clusters if row.cluster for name in row.members}
    return [
        f"{row.criterion_a} with {row.criterion_b}"
        for row in pairs
        if row.same == "open"
        and {row.criterion_a, row.criterion_b} <= cluster_of.keys()
        and (cluster_of[row.criterion_a] == cluster_of[row.criterion_b]) == together
    ]


def _but_open(undecided: Sequence[str], same: float) -> str:
    if not undecided:
        return ""
    belong = "belongs" if len(undecided) == 1 else "belong"
    return f"; but whether {_named(undecided)} {belong} together is open, as {_why_open(same)}"


def _why_open(same: float) -> str:
    return (
        f"the interval of the agreement includes {number(same)}, from which criteria stand for one "
        "another"
    )


def _open(clusters: Sequence[Cluster], pairs: Sequence[PairAgreement], same: float) -> Told:
    undecided = _undecided(clusters, pairs, together=True)
    if undecided:
        belong = "belongs" if len(undecided) == 1 else "belong"
        yield (
            "open",
            f"Whether {_named(undecided)} {belong} in one cluster is open: {_why_open(same)}.",
        )


def _layers(layers: Sequence[LayerAdvice]) -> Told:
    kinds = {
        kind: [row.layer for row in layers if row.advice == kind]
        for kind in (NO_RANKING, APART, OTHER, CHOOSE, UNJUDGED)
    }
    judged = len(layers) - len(kinds[UNJUDGED])
    if kinds[NO_RANKING]:
        yield (
            "layers",
            f"In {len(kinds[NO_RANKING])} of {many(judged, 'layer')} no criterion can tell filters "
            f"apart, so that a random choice should serve as well: {_named(kinds[NO_RANKING])}.",
        )
    elif judged and not kinds[APART] and not kinds[OTHER]:
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
