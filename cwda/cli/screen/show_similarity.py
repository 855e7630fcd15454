"""What `cwda similarity` shows: pairs of criteria, then layers by pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, reasons
from cwda.cli.screen.table import Column, Table
from cwda.formatting import number, percent

if TYPE_CHECKING:
    from cwda.scoring import SimilarityResult

__all__ = ["show_similarity"]


def show_similarity(result: SimilarityResult, screen: Screen) -> None:
    """Print the similarity of criteria in one network."""
    screen.table(_pairs(result))
    screen.remark(
        "Spearman's rank correlation of the scores, over the layers; over .9: share of the layers "
        "in which it exceeds .9"
    )
    screen.table(_layers(result), "Spearman's rank correlation of the scores; – undefined")
    screen.remarks(reasons(result.table))


def _pairs(result: SimilarityResult) -> Table:
    heads = [Column(head) for head in ("layers", "median", "lowest", "over .9")]
    table = Table([Column("pair"), *heads, Column("lowest in", right=False)], gap=2)
    for row in result.summary().itertuples():
        table.add(
            f"{row.criterion_a}-{row.criterion_b}",
            str(row.layers),
            number(row.median),
            number(row.minimum),
            percent(row.share_above_90),
            row.lowest_layer,
        )
    return table


def _layers(result: SimilarityResult) -> Table:
    pairs = zip(result.table.criterion_a, result.table.criterion_b, strict=True)
    table = layer_table([Column(f"{a}-\n{b}") for a, b in dict.fromkeys(pairs)])
    for _, group in result.table.groupby("layer", sort=False):
        rows = list(group.itertuples())
        table.add(*layer_cells(rows[0]), *(number(row.spearman) for row in rows))
    return table
