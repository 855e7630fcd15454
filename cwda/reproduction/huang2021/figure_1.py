"""Figure 1: scores of a layer that lie close together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.comparison import applicability
from cwda.errors import CwdaError
from cwda.formatting import many, number, percent
from cwda.reporting.blocks import Block, Column, Note, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import NOT_KNOWN, Finding, agreed
from cwda.reproduction.huang2021.drawing import histograms
from cwda.reproduction.huang2021.layers import ranked_layers
from cwda.reproduction.paper import Part, Section
from cwda.reproduction.trained import Trained

__all__ = ["FIGURE_1", "relative_range"]

_NAME = "Figure 1"

#: The panels of the figure.
CRITERIA = ("bn_gamma", "taylor_l2", "l2")

#: Scores are close together if the middle 80 % of them lie within this share of the median.
CLOSE = 0.2

_THEIRS = f"histograms of some layers; values {NOT_KNOWN}"

#: Share of filters pruned in the question whether a criterion discriminates.
RATIO = 0.5

#: Layers drawn of each network.
DRAWN = 3

_RULE = (
    f"close together: the distance of the .1 and .9 quantiles is below {percent(CLOSE)} of the "
    "median (the paper's example .91 .92 .93 .92 has 2 %, .9 .8 .4 .01 has 130 %); agreed: there "
    "is such a layer in every network; partly: in some"
)


@dataclass(frozen=True, eq=False)
class _Spread:
    """The relative ranges of the scores of one network, by criterion and layer."""

    one: Trained
    images: int
    ranges: Mapping[str, Mapping[str, float]]


def relative_range(scores: Tensor) -> float:
    """Distance of the .1 and .9 quantiles over the median.

    Examples
    --------
    >>> round(relative_range(torch.tensor([0.91, 0.92, 0.93, 0.92], dtype=torch.float64)), 3)
    0.015
    """
    low, median, high = scores.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=scores.dtype)).tolist()
    return (high - low) / median if median > 0 else float("inf")


def _find(bench: Bench) -> Section:
    spreads, skipped = [], []
    for one in bench.trained:
        criteria = CRITERIA if one.data else (("bn_gamma", "l2") if one.model else ("l2",))
        try:
            scores = bench.scores(one, criteria)
        except CwdaError as error:
            skipped.append(f"{one.name}: {error}")
            continue
        names = {layer.name for layer in ranked_layers(one.network)}
        ranges = {
            criterion: {layer: relative_range(row) for layer, row in rows.items() if layer in names}
            for criterion, rows in scores.items()
        }
        spreads.append(_Spread(one, bench.samples(one), ranges))
    findings = [_finding(criterion, spreads) for criterion in CRITERIA]
    return Section(findings, lambda: _blocks(bench, spreads, skipped))


FIGURE_1 = Part(
    _NAME,
    "Figure 1: scores that lie close together",
    "In some layers the scores lie so close together that they cannot separate filters.",
    _find,
)


def _finding(criterion: str, spreads: Sequence[_Spread]) -> Finding:
    having = [each for each in spreads if each.ranges.get(criterion)]
    claim = f"{criterion}: in some layers the scores lie close together"
    if not having:
        return Finding(
            part=_NAME, claim=claim, theirs=_THEIRS, ours="", rule=_RULE,
            verdict="not run", reason="no network has such scores: BatchNorm or images are missing",
        )  # fmt: skip
    close = {
        each.one.name: sum(value < CLOSE for value in each.ranges[criterion].values())
        for each in having
    }
    layers = sum(len(each.ranges[criterion]) for each in having)
    return Finding(
        part=_NAME,
        claim=claim,
        theirs=_THEIRS,
        ours=f"{sum(close.values())} of {many(layers, 'layer')}, in "
        f"{sum(count > 0 for count in close.values())} of {many(len(close), 'network')}",
        rule=_RULE,
        verdict=agreed([count > 0 for count in close.values()]),
        networks=len(having),
        layers=layers,
        images=max(each.images for each in having) if criterion.startswith("taylor") else 0,
    )


def _blocks(bench: Bench, spreads: Sequence[_Spread], skipped: Sequence[str]) -> Iterator[Block]:
    yield Paragraph(
        "The paper shows histograms of three criteria in single layers, whose scores lie so close "
        "together that a threshold cuts through noise. Its layers are not known here: drawn are "
        "the layers of each network whose l2 norms lie closest together, in the middle, and "
        "farthest apart. The relative range is the distance of the .1 and .9 quantiles over the "
        "median."
    )
    yield _table(spreads)
    yield _discrimination(spreads)
    for each in spreads:
        if all(each.ranges.get(criterion) for criterion in CRITERIA):
            layers = _chosen(each.ranges["l2"])
            scores = bench.scores(each.one, CRITERIA)
            yield picture(
                histograms(scores, layers, CRITERIA, relative_range),
                f"Scores of three layers of {each.one.name} by three criteria (Taylor on "
                f"{many(each.images, 'image')}); the relative range stands in each panel.",
                f"Histograms of the scores of {many(len(layers), 'layer')} by BN gamma, Taylor l2 "
                "and l2.",
            )
    if skipped:
        yield Note(f"Left out: {'; '.join(skipped)}.")


def _discrimination(spreads: Sequence[_Spread]) -> Block:
    """In how many layers the l2 norm tells filters apart, by the chance of a swap."""
    found = [applicability(each.one.network, ["l2"], ratio=RATIO).table for each in spreads]
    rows = [row for table in found for row in table.itertuples() if row.verdict != "not applicable"]
    unable = sum(row.verdict == "cannot discriminate" for row in rows)
    return Note(
        "Close scores are not all there is to applicability: a narrow range is enough where "
        "filters have many weights, and a wide one may be sampling where they have few. By the "
        f"chance that a pruned and a kept filter swap in a fresh draw of weights, at a ratio of "
        f"{percent(RATIO)}, l2 cannot discriminate in {unable} of {many(len(rows), 'layer')} of "
        f"{many(len(found), 'network')} (cwda applicability)."
    )


def _chosen(ranges: Mapping[str, float]) -> list[str]:
    """The layers with the smallest, the middle and the largest range."""
    ordered = sorted(ranges, key=ranges.__getitem__)
    places = dict.fromkeys([0, len(ordered) // 2, len(ordered) - 1])
    return [ordered[place] for place in places][:DRAWN]


def _table(spreads: Sequence[_Spread]) -> Table:
    rows = []
    for each in spreads:
        for criterion in CRITERIA:
            found = each.ranges.get(criterion)
            if not found:
                continue
            values = torch.tensor(list(found.values()), dtype=torch.float64)
            low, middle, high = values.quantile(
                torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
            ).tolist()
            rows.append(
                [
                    each.one.name, criterion, str(len(found)), number(low), number(middle),
                    number(high), str(int((values < CLOSE).sum())),
                ]
            )  # fmt: skip
    return Table(
        [
            Column("network", "name"), Column("criterion", "text"), Column("layers"),
            Column("smallest"), Column("median"), Column("largest"), Column("close together"),
        ],
        rows,
        f"Relative range of the scores over the layers with 8 filters or more; close together is "
        f"below {number(CLOSE)}.",
    )  # fmt: skip
