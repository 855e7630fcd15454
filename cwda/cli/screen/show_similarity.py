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
    noisy = bool(((result.table.reliability_a < 1) | (result.table.reliability_b < 1)).any())
    screen.table(_pairs(result, noisy))
    screen.remark(
        "Spearman's rank correlation of the scores, over the layers; over .9: share of the layers "
        "in which it exceeds .9"
        + (
            "; without noise: median of what it would be with images without end, which can "
            "exceed 1; reliability: the lower one of the two criteria, median of the layers"
            if noisy
            else ""
        )
    )
    what = ", without the noise of the images where that is known" if noisy else ""
    screen.table(_layers(result), f"Spearman's rank correlation of the scores{what}; – undefined")
    screen.remarks([*result.warnings, *reasons(result.table)])


def _pairs(result: SimilarityResult, noisy: bool) -> Table:
    heads = [Column(head) for head in ("layers", "median", "lowest", "over .9")]
    extra = [Column("without\nnoise"), Column("reliability")] if noisy else []
    table = Table([Column("pair"), *heads, *extra, Column("lowest in", right=False)], gap=2)
    reliabilities = result.reliabilities
    for row in result.summary().itertuples():
        least = min(reliabilities[name] for name in (row.criterion_a, row.criterion_b))
        table.add(
            f"{row.criterion_a}-{row.criterion_b}",
            str(row.layers),
            number(row.median),
            number(row.minimum),
            percent(row.share_above_90),
            *([number(row.disattenuated), number(least)] if noisy else []),
            row.lowest_layer,
        )
    return table


def _layers(result: SimilarityResult) -> Table:
    """The correlations without noise; those with it where the other is not known."""
    pairs = zip(result.table.criterion_a, result.table.criterion_b, strict=True)
    table = layer_table([Column(f"{a}-\n{b}") for a, b in dict.fromkeys(pairs)])
    shown = result.table.assign(shown=result.table.disattenuated.fillna(result.table.spearman))
    for _, group in shown.groupby("layer", sort=False):
        rows = list(group.itertuples())
        table.add(*layer_cells(rows[0]), *(number(row.shown) for row in rows))
    return table
