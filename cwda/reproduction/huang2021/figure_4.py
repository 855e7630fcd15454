"""Figure 4: Spearman's rank correlation of the criteria in each layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from cwda.comparison.transition import is_transition
from cwda.errors import CwdaError
from cwda.formatting import many, number, p_value, percent
from cwda.numerics.ranking.ranks import spearman
from cwda.reporting.blocks import Block, Column, Heading, Note, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reproduction.bench import Bench, LayerScoring
from cwda.reproduction.finding import NOT_KNOWN, Finding, agreed, span
from cwda.reproduction.huang2021.drawing import coefficients
from cwda.reproduction.huang2021.layers import ranked_layers
from cwda.reproduction.paper import Part, Section
from cwda.reproduction.trained import Trained
from cwda.scoring.catalogue import NORM_BASED

__all__ = ["FIGURE_4"]

_NAME = "Figure 4"
BEYOND = ("bn_gamma", "taylor_l1", "taylor_l2")

#: The coefficient above which the paper calls criteria alike.
ALIKE = 0.9

_PAIRS = tuple(itertools.combinations(NORM_BASED, 2))
_PAIRS_BEYOND = tuple(("l2", name) for name in BEYOND)
_NOISY = tuple(("l2", name) for name in BEYOND if name.startswith("taylor"))

_MOST = (
    f"agreed: every pair of criteria is above {number(ALIKE)} in more than half of the layers of "
    "every network; partly: some pairs and networks"
)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """The coefficients of one network, by pair and layer.

    `freed` are those freed of the noise of the images; `whole` is that of l1 with l2 over all
    filters of the network.
    """

    one: Trained
    by_pair: Mapping[tuple[str, str], Mapping[str, float]]
    freed: Mapping[tuple[str, str], Mapping[str, float]]
    whole: float
    transitions: frozenset[str]
    samples: int

    def values(self, pair: tuple[str, str], *, transition: bool | None = None) -> list[float]:
        """The coefficients of a pair, in all layers or in those of one kind."""
        rows = self.by_pair.get(pair, {})
        return [
            value
            for layer, value in rows.items()
            if transition is None or (layer in self.transitions) == transition
        ]


def _find(bench: Bench) -> Section:
    ranked, skipped = [], []
    for one in bench.trained:
        try:
            ranked.append(_ranked(bench, one))
        except CwdaError as error:
            skipped.append(f"{one.name}: {error}")
    findings = [
        _alike(ranked, _PAIRS, "The norms rank filters alike: Sp above .9 in most layers"),
        _alike(
            ranked,
            _PAIRS_BEYOND,
            "BN gamma and Taylor rank filters as the l2 norm does: Sp above .9 in most layers",
        ),
        _alike(
            [replace(each, by_pair=each.freed) for each in ranked],
            _NOISY,
            "The same of Taylor, freed of the noise of the images: Sp above .9 in most layers",
        ),
        _lower(ranked),
        _global(ranked),
    ]
    return Section(findings, lambda: _blocks(ranked, skipped))


FIGURE_4 = Part(
    _NAME,
    "Figure 4: rank correlations of the criteria",
    "The rank correlation of two criteria is above .9 in most layers.",
    _find,
)


def _ranked(bench: Bench, one: Trained) -> _Ranked:
    criteria = (*NORM_BASED, *(BEYOND if one.data else BEYOND[:1] if one.model else ()))
    scores = bench.scores(one, criteria)
    layers = ranked_layers(one.network)
    by_pair = {
        pair: found
        for pair in (*_PAIRS, *_PAIRS_BEYOND)
        if set(pair) <= set(criteria)
        and (found := _coefficients(scores, pair, [layer.name for layer in layers]))
    }
    whole = _spearman(*(torch.cat(list(scores[name].values())) for name in ("l1", "l2")))
    noisy = [pair for pair in _NOISY if pair in by_pair]
    freed = {
        pair: {layer: value for layer, value in values.items() if layer in by_pair[pair]}
        for pair, values in (bench.without_noise(one, noisy) if noisy else {}).items()
    }
    transitions = frozenset(layer.name for layer in one.network if is_transition(layer))
    return _Ranked(one, by_pair, freed, whole, transitions, bench.samples(one))


def _coefficients(
    scores: LayerScoring, pair: tuple[str, str], layers: Sequence[str]
) -> dict[str, float]:
    """Of the layers that both criteria score, where it is defined."""
    first, second = scores[pair[0]], scores[pair[1]]
    found = {
        layer: _spearman(first[layer], second[layer])
        for layer in layers
        if layer in first and layer in second
    }
    return {layer: value for layer, value in found.items() if math.isfinite(value)}


def _spearman(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(spearman(torch.stack([a, b]))[0, 1])


def _share(values: Sequence[float]) -> float:
    return sum(value > ALIKE for value in values) / len(values)


def _alike(ranked: Sequence[_Ranked], pairs: Sequence[tuple[str, str]], claim: str) -> Finding:
    shares = {
        (each.one.name, pair): _share(values)
        for each in ranked
        for pair in pairs
        if (values := each.values(pair))
    }
    having = [each for each in ranked if any(each.values(pair) for pair in pairs)]
    layers = sum(max(len(each.values(pair)) for pair in pairs) for each in having)
    if not shares:
        return Finding(
            part=_NAME, claim=claim, theirs="more than .9 in most layers", ours="", rule=_MOST,
            verdict="not run", reason="no network has such scores: BatchNorm or images are missing",
        )  # fmt: skip
    most = [share > 0.5 for share in shares.values()]
    (network, pair), lowest = min(shares.items(), key=lambda item: item[1])
    return Finding(
        part=_NAME,
        claim=claim,
        theirs="more than .9 in most layers",
        ours=f"in {sum(most)} of {len(most)} cases (pair and network); lowest {percent(lowest)} "
        f"of the layers, {'-'.join(pair)} in {network}",
        rule=_MOST,
        verdict=agreed(most),
        networks=len(having),
        layers=layers,
        images=0 if pairs is _PAIRS else max(each.samples for each in having),
    )


def _lower(ranked: Sequence[_Ranked]) -> Finding:
    """Transition layers against the others, of l1 with l2."""
    import scipy.stats

    pair = ("l1", "l2")
    having = [
        each for each in ranked
        if each.values(pair, transition=True) and each.values(pair, transition=False)
    ]  # fmt: skip
    claim = "Sp is lower in transition layers, where the number of filters changes"
    rule = (
        "of l1 with l2; agreed: the median over the transition layers is below that over the "
        "others in every network, and a one-sided Mann-Whitney test over all layers has p < .05; "
        "partly: one of both, or in some networks"
    )
    if not having:
        return Finding(
            part=_NAME, claim=claim, theirs="lower", ours="", rule=rule, verdict="not run",
            reason="no network has transition layers and others",
        )  # fmt: skip
    inside = [each.values(pair, transition=True) for each in having]
    outside = [each.values(pair, transition=False) for each in having]
    lower = [median(a) < median(b) for a, b in zip(inside, outside, strict=True)]
    first, second = list(itertools.chain(*inside)), list(itertools.chain(*outside))
    p = float(scipy.stats.mannwhitneyu(first, second, alternative="less").pvalue)
    significant = p < 0.05
    return Finding(
        part=_NAME,
        claim=claim,
        theirs="lower",
        ours=f"median {number(median(first))} in {many(len(first), 'transition layer')}, "
        f"{number(median(second))} in {len(second)} others; lower in {sum(lower)} of "
        f"{many(len(lower), 'network')}, p = {p_value(p)}",
        rule=rule,
        verdict=agreed([significant, *lower]),
        networks=len(having),
        layers=len(first) + len(second),
    )


def _global(ranked: Sequence[_Ranked]) -> Finding:
    differ = [each.whole < ALIKE for each in ranked]
    values = [each.whole for each in ranked]
    return Finding(
        part=_NAME,
        claim="l1 and l2 are not always alike: they differ in global pruning",
        theirs=f"they differ; values {NOT_KNOWN}",
        ours=f"Sp over all filters of a network {span(values)}, "
        f"below .9 in {sum(differ)} of {many(len(differ), 'network')}",
        rule="agreed: Sp of l1 with l2 over all filters of a network is below .9 in every "
        "network; partly: in some",
        verdict=agreed(differ),
        networks=len(ranked),
        layers=sum(len(each.one.network) for each in ranked),
    )


def _blocks(ranked: Sequence[_Ranked], skipped: Sequence[str]) -> Iterator[Block]:
    shown = [("l1", "l2"), ("l2", "gm"), ("l2", "fermat"), *_PAIRS_BEYOND]
    yield Paragraph(
        "Spearman's rank correlation (Sp) of two criteria over the filters of each layer with 8 "
        "filters or more that see several channels. The vertical scale is Fisher's, on which "
        "values near 1 can be told apart. Which networks and criteria the paper's figure shows is "
        "not known here."
    )
    yield picture(
        coefficients([_lines(each, shown) for each in ranked]),
        "Spearman's coefficient in each layer, from the input on; grey stripes are transition "
        "layers, the grey line is .9.",
        "A panel for each network: lines of Spearman coefficients along the layers.",
    )
    yield Heading("All pairs", 2)
    yield Table(
        [
            Column("network", "name"), Column("pair", "text"), Column("layers"), Column("median"),
            Column("lowest"), Column("over .9"), Column("without noise"), Column("transition"),
            Column("others"),
        ],
        [
            row
            for each in ranked
            for pair in (*_PAIRS, *_PAIRS_BEYOND)
            if (row := _cells(each, pair))
        ],
        "Spearman's coefficient over the layers of each network: median, lowest, share above .9; "
        "of Taylor the median without the noise of the images; median over the transition layers "
        "and over the others.",
    )  # fmt: skip
    images = max((each.samples for each in ranked), default=0)
    if images:
        yield Note(
            f"Taylor scores come from {many(images, 'training image')}, and another draw would "
            "rank filters otherwise, which lowers their coefficients. Without that noise they are "
            "estimated from disjoint halves of the images, as cwda similarity does; they may "
            "exceed 1."
        )
    if skipped:
        yield Note(f"Left out: {'; '.join(skipped)}.")


def _lines(
    each: _Ranked, pairs: Sequence[tuple[str, str]]
) -> tuple[str, Mapping[str, Sequence[float]], Sequence[int]]:
    layers = [layer.name for layer in ranked_layers(each.one.network)]
    lines = {
        "-".join(pair): [each.by_pair[pair].get(layer, math.nan) for layer in layers]
        for pair in pairs
        if pair in each.by_pair
    }
    return each.one.title, lines, [i for i, name in enumerate(layers) if name in each.transitions]


def _cells(each: _Ranked, pair: tuple[str, str]) -> list[str]:
    values = each.values(pair)
    if not values:
        return []
    kinds = [each.values(pair, transition=kind) for kind in (True, False)]
    medians = [number(median(kind)) if kind else "–" for kind in kinds]
    freed = list(each.freed.get(pair, {}).values())
    return [
        each.one.name, "-".join(pair), str(len(values)), number(median(values)),
        number(min(values)), percent(_share(values)), number(median(freed)) if freed else "–",
        *medians,
    ]  # fmt: skip
