"""Advice in plain words, one sentence for each thing that a reader has to decide."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from cwda.advice.nothing import SELECTS_NONE, nothing_to_advise
from cwda.advice.result import (
    APART,
    CHOOSE,
    NO_RANKING,
    OTHER,
    RANK,
    SHORT,
    UNJUDGED,
    UNRANKED,
    Cluster,
    GlobalScale,
    LayerAdvice,
    PairAgreement,
    Sentence,
    ranks,
)
from cwda.filters.near_dead import where_near_dead
from cwda.formatting import every, listed, many, number, percent

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
    if chosen is None:
        return [
            Sentence(network, SHORT, nothing_to_advise(ratio, clusters, layers)),
            *(Sentence(network, topic, text) for topic, text in _left_out(clusters)),
        ]
    told = [
        *_short(ratio, chosen, clusters, pairs, layers, scales),
        *_criterion(chosen, pairs, ranks(layers)),
        *_others(clusters, pairs, same, ranks(layers)),
        *_left_out(clusters),
        *_right(clusters),
        *_open(clusters, pairs, same),
        *_layers(layers),
        *_images(clusters, images),
        *_global(chosen.stand_in, scales),
    ]
    return [Sentence(network, topic, text) for topic, text in told]


def _short(
    ratio: float,
    chosen: Cluster,
    clusters: Sequence[Cluster],
    pairs: Sequence[PairAgreement],
    layers: Sequence[LayerAdvice],
    scales: Sequence[GlobalScale],
) -> Told:
    """What to do, in three sentences at most: first what decides on most of the filters pruned."""
    ranked = [row for row in layers if row.advice not in (NO_RANKING, APART)]
    unranked = [row for row in layers if row.advice in (NO_RANKING, APART)]
    told = [
        (sum(row.pruned - row.apart for row in unranked), _unranked(layers)),
        (sum(min(row.near_dead, row.pruned) for row in layers), _near_dead(layers)),
    ]
    if ranks(layers):
        text = _ranked(ratio, chosen, clusters, pairs, layers, scales)
        told.insert(0, (sum(row.pruned for row in ranked), text))
    for _, text in sorted(told, key=lambda each: -each[0]):
        if text:
            yield SHORT, text


def _ranked(
    ratio: float,
    chosen: Cluster,
    clusters: Sequence[Cluster],
    pairs: Sequence[PairAgreement],
    layers: Sequence[LayerAdvice],
    scales: Sequence[GlobalScale],
) -> str:
    """By what to rank, and on which scale."""
    text = f"To prune {percent(ratio)} of the filters, rank them by {chosen.stand_in}"
    scale = next((row.normalise for row in scales if row.advised), "")
    if scale and len(layers) > 1:
        scores = "raw scores" if scale == "none" else f"scores normalised by {scale}"
        text += f", layer by layer or, with {scores}, over all layers"
    able = [row for row in layers if row.advice in (RANK, CHOOSE)]
    unable = [row for row in layers if row.advice == OTHER]
    if len(unable) > len(able):
        text += f"; in {many(len(unable), 'layer')} only {_able(unable)} can tell filters apart"
    placed = [row for row in clusters if row.cluster]
    others = [row.stand_in for row in placed if not row.advised]
    if others and all(math.isnan(row.validity) for row in placed):
        if _undecided(placed, pairs, together=False):
            verb = "may prune"
        else:
            verb = "prunes" if len(others) == 1 else "prune"
        text += f"; {listed(others)} {verb} others, and only an experiment tells which is better"
    return f"{text}."


def _unranked(layers: Sequence[LayerAdvice]) -> str:
    """Where no ranking is supported; empty if there is no such layer."""
    judged = sum(row.advice != UNJUDGED for row in layers)
    none, apart = (sum(row.advice == kind for row in layers) for kind in (NO_RANKING, APART))
    if none and not ranks(layers):
        could = " that could be judged" * (judged < len(layers))
        return (
            f"No ranking helps: in {every(judged, 'layer')}{could} no criterion can tell filters "
            "apart, so that a random choice should serve as well."
        )
    of = f"of {many(judged, 'layer')}"
    if none and apart:
        return (
            f"In {none} {of} no criterion can tell filters apart, and in {apart} more only those "
            "far below the others: beyond these, a random choice should serve as well."
        )
    if apart:
        where = every(1, "layer") if judged == 1 else f"{apart} {of}"
        return (
            f"In {where} only filters far below the others can be told apart: prune these first, "
            "and others at random."
        )
    if none:
        return (
            f"In {none} {of} no criterion can tell filters apart, so that a random choice should "
            "serve as well."
        )
    return ""


def _near_dead(layers: Sequence[LayerAdvice]) -> str:
    """Which filters go first; empty if none is near-dead."""
    dead = sum(row.near_dead for row in layers)
    if not dead:
        return ""
    which = "filter" if dead == 1 else f"{dead:,} near-dead filters"
    return f"Prune the {'near-dead ' * (dead == 1)}{which} first: {where_near_dead(layers)}."


def _criterion(chosen: Cluster, pairs: Sequence[PairAgreement], useful: bool) -> Told:
    rest = _rest(chosen)
    own = chosen.stand_in
    if not rest:
        if useful:
            yield "criterion", f"No other criterion given is shown to be like {own}."
        else:
            yield (
                "criterion",
                f"If a ranking is wanted nevertheless, take {own}; no other criterion given is "
                "shown to be like it.",
            )
        return
    interval = ""
    if not math.isnan(chosen.agreement_low):
        interval = f", interval {number(chosen.agreement_low)} to {number(chosen.agreement_high)}"
    start = own if useful else f"If a ranking is wanted nevertheless, take {own}, which"
    yield (
        "criterion",
        f"{start} {_stands(chosen, pairs)} for {listed(rest)}: they prune nearly the same filters "
        f"(kappa at least {number(chosen.agreement)}{interval}; 0 is chance, 1 the same).",
    )


def _stands(cluster: Cluster, pairs: Sequence[PairAgreement], also: str = "") -> str:
    """Whether a criterion stands for others, or only probably, as a pair of them is open."""
    probably = "probably " * bool(_undecided([cluster], pairs, together=True))
    return f"{probably}{also}stands"


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
            f"{row.stand_in}, which {_stands(row, pairs, 'also ')} for {listed(rest)}"
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


def _left_out(clusters: Sequence[Cluster]) -> Told:
    """Criteria that were not placed, unless one reason is that of all."""
    if all(row.reason == SELECTS_NONE for row in clusters):
        return
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
        yield UNRANKED, f"Without a ranking: {_named(kinds[NO_RANKING])}."
    elif judged and ranks(layers) and not kinds[APART] and not kinds[OTHER]:
        could = " that could be judged" * bool(kinds[UNJUDGED])
        yield "layers", f"Filters can be told apart in {every(judged, 'layer')}{could}."
    if kinds[APART]:
        filters = sum(row.apart for row in layers if row.advice == APART)
        which = "filter, far below the others," if filters == 1 else "filters far below the others"
        yield (
            "layers",
            f"In {_some(kinds[APART])} only {_word(filters)} {which} can be told apart: prune "
            f"{'it' if filters == 1 else 'these'} first, and others at random: "
            f"{_named(kinds[APART])}.",
        )
    if kinds[OTHER]:
        able = _able([row for row in layers if row.advice == OTHER])
        yield (
            "layers",
            f"In {_some(kinds[OTHER])} the criterion advised cannot tell filters apart, though "
            f"{able} can: {_named(kinds[OTHER])}.",
        )
    if kinds[CHOOSE]:
        yield (
            "layers",
            f"In {_some(kinds[CHOOSE])} the criteria of the cluster advised differ by "
            f"more than chance, so that the choice matters: {_named(kinds[CHOOSE])}.",
        )
    if kinds[UNJUDGED]:
        yield (
            "layers",
            f"Not judged: {many(len(kinds[UNJUDGED]), 'layer')}, {_named(kinds[UNJUDGED])}.",
        )


def _some(layers: Sequence[str]) -> str:
    return f"{_word(len(layers))} layer{'s' * (len(layers) > 1)}"


def _word(n: int) -> str:
    return "one" if n == 1 else f"{n:,}"


def _able(layers: Sequence[LayerAdvice]) -> str:
    """The criteria that tell filters apart in these layers, and in how many where not in all."""
    counts = Counter(name for row in layers for name in row.discriminate.split(", "))
    if set(counts.values()) == {len(layers)}:
        return listed(sorted(counts))
    order = sorted(counts, key=lambda name: (-counts[name], name))
    return listed(
        [
            f"{name} (in {'all' if counts[name] == len(layers) else _word(counts[name])})"
            for name in order
        ]
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
