"""What to do: the criterion to prune by, what it stands for, and the layers without a ranking."""

from __future__ import annotations

from functools import partial

from cwda.advice import Advice
from cwda.advice.result import APART, NO_RANKING, RANK
from cwda.formatting import number, percent
from cwda.reporting.blocks import Block, Cell, Column, Items, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report, attempt
from cwda.reporting.subject import RATIO, Subject

__all__ = ["advice", "what_to_do"]

#: The colours of the verdicts on conditions, for what is said of layers.
TONES = {RANK: "holds", NO_RANKING: "fails", APART: "fails"}


def what_to_do(subject: Subject) -> list[Block]:
    """The advice in sentences, for the summary; nothing without weights."""
    if not subject.has_weights:
        return []
    return attempt(partial(_sentences, subject), f"the advice on {subject.network.name}")


def _sentences(subject: Subject) -> list[Block]:
    return [Items([each.text for each in subject.advice.sentences], "What to do")]


def _blocks(report: Report) -> list[Block]:
    """The criterion to prune by and what it stands for, layers without a ranking, and scales."""
    return [
        Paragraph(
            "Two criteria that prune k of n filters and differ in D of them agree by kappa = "
            "1 - D / (k (1 - k/n)), Cohen's coefficient: 1 for the same filters, 0 for what chance "
            "would share. Over layers, differences and what chance would make of them are summed. "
            "Criteria any two of which agree by a threshold or more form a cluster (complete "
            "linkage), and the cheapest of each stands for the others."
        ),
        *report.sections(_network, needs_weights=True),
        Note(
            "Likeness and discrimination do not show that a ranking is right: that takes an "
            "experiment, or the loss when filters are removed."
        ),
    ]


advice = Chapter("What to do", _blocks)


def _network(subject: Subject) -> list[Block]:
    result = subject.advice
    if not result.criterion:
        return [Paragraph(each.text) for each in result.sentences]
    return [
        Items(list(result.short)),
        _clusters(result),
        _pairs(result),
        _scales(result),
        _layers(result),
    ]


def _interval(low: float, high: float) -> str:
    return "–" if low != low else f"{number(low)} to {number(high)}"


def _clusters(result: Advice) -> Table:
    columns = [Column("stand-in", "text"), Column("cluster", "text"), Column("needs", "text")]
    columns += [Column("kappa"), Column("interval"), Column("tells apart")]
    return Table(
        columns,
        [
            [
                row.stand_in,
                row.criteria if row.cluster else "not placed",
                row.cost,
                number(row.agreement),
                _interval(row.agreement_low, row.agreement_high),
                f"{row.discriminates} of {row.layers}" if row.layers else "–",
            ]
            for row in result.clusters
        ],
        f"Clusters of criteria at a ratio of {percent(RATIO)}, that of the criterion advised "
        f"first: lowest kappa of a pair, {number(result.same)} or more; layers in which the "
        "stand-in can tell filters apart.",
    )


def _pairs(result: Advice) -> Table:
    columns = [Column("pair", "text"), Column("kappa"), Column("interval"), Column("one cluster")]
    return Table(
        columns,
        [
            [
                f"{row.criterion_a} with {row.criterion_b}",
                number(row.agreement),
                _interval(row.agreement_low, row.agreement_high),
                row.same,
            ]
            for row in result.pairs
        ],
        "Agreement of each pair over the layers, without the noise of the images; open: the "
        f"interval includes the threshold.{_cut_off(result)}",
    )


def _cut_off(result: Advice) -> str:
    return f" {result.cut_off[0].upper()}{result.cut_off[1:]}." if result.cut_off else ""


def _scales(result: Advice) -> Table:
    columns = [Column("scores", "text"), Column("criterion", "text"), Column("emptied")]
    columns += [Column("kappa"), Column("advised", "text")]
    return Table(
        columns,
        [
            [
                "raw" if row.normalise == "none" else row.normalise,
                row.criterion,
                str(row.emptied),
                number(row.agreement),
                "yes" if row.advised else "",
            ]
            for row in result.scales
        ],
        "One ranking over all layers: layers that lose all filters, and the lowest kappa with "
        "another criterion of the cluster advised.",
    )


def _layers(result: Advice) -> Table:
    columns = [Column("layer", "name"), Column("advice", "text"), Column("kappa")]
    columns += [Column("lowest"), Column("pair", "text"), Column("swap")]
    columns.append(Column("tells apart", "text"))
    return Table(
        columns,
        [
            [
                row.layer,
                Cell(row.advice, TONES.get(row.advice, "inconclusive")),
                number(row.agreement),
                number(row.lowest),
                row.lowest_pair,
                percent(row.swap),
                row.discriminate or "none",
            ]
            for row in result
        ],
        f"What to do in each layer: mean kappa of the cluster advised, the pair that agrees least, "
        f"the chance that filters swap in a fresh draw under {result.criterion}, and the criteria "
        "that tell filters apart.",
    )
