"""Global pruning: what each layer loses when all filters are ranked together."""

from __future__ import annotations

from cwda import figures
from cwda.formatting import many, number, percent
from cwda.reporting.blocks import Block, Column, Paragraph, Run, Table, names
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import RATIO, Subject

__all__ = ["emptied", "global_pruning"]


def _blocks(report: Report) -> list[Block]:
    """Shares lost by layer, predicted and measured, and the overlap of the criteria."""
    return [
        Paragraph(
            "One ranking over all layers compares scores of layers with different sizes. With "
            "weights of standard deviation σ, the mean l1 norm of a layer is proportional to "
            "σ d, the mean l2 norm to σ √d: the two criteria order the layers differently as soon "
            "as d differs, and where the means of layers differ by more than the scores scatter, "
            "whole layers go first."
        ),
        *report.sections(_network, needs_weights=True),
    ]


global_pruning = Chapter("Global pruning", _blocks)


def _network(subject: Subject) -> list[Block]:
    result = subject.global_pruning
    table = result.table
    here = table[(table["ratio"] == RATIO) & table["share_measured"].notna()]
    if here.empty:
        return [Paragraph("No layer of this network can be ranked.")]
    layers = list(dict.fromkeys(here.loc[here["share_measured"] == 1, "layer"]))
    text = emptied(subject)
    text[0] = f"{str(text[0])[0].upper()}{str(text[0])[1:]}"
    if layers:
        text += [" Layers emptied by at least one criterion: ", *names(layers), "."]
        text.append(" Prune them with a minimum of filters, or normalise the scores by layer.")
    return [
        Paragraph(text),
        picture(
            figures.global_shares(table, RATIO),
            f"Share of the filters that each layer of {subject.network.name} loses at a global "
            f"ratio of {percent(RATIO)}, by criterion: predicted and measured.",
            f"Shares lost by layer and criterion; {len(layers)} layers are emptied.",
        ),
        _overlap(subject),
    ]


def emptied(subject: Subject) -> list[Run]:
    """How many layers lose all filters under each criterion, on its raw scores."""
    table = subject.global_pruning.table
    here = table[(table["ratio"] == RATIO) & table["share_measured"].notna()]
    if here.empty:
        return []
    here = here.drop_duplicates(["criterion", "layer"])
    lost = here.groupby("criterion", sort=False)["share_measured"]
    counts = [f"{name} {int((shares == 1).sum())}" for name, shares in lost]
    return [
        f"one ranking of raw scores over all layers, at a ratio of {percent(RATIO)}, empties of "
        f"{many(here['layer'].nunique(), 'layer')}: {', '.join(counts)}."
    ]


def _overlap(subject: Subject) -> Table:
    overlap = subject.global_pruning.overlap_table
    columns = [Column("pair", "text"), Column("ratio"), Column("predicted"), Column("measured")]
    return Table(
        columns,
        [
            [
                f"{row.criterion_a} with {row.criterion_b}",
                percent(row.ratio),
                number(row.overlap_predicted),
                number(row.overlap_measured),
            ]
            for row in overlap.itertuples()
        ],
        "Overlap (Jaccard index) of the filters that two criteria prune globally.",
    )
