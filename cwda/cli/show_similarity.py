"""What `cwda similarity` shows: pairs of criteria, then layers by pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from cwda.cli.format import layer_cells, layer_table, plain_table, reasons, say_lines, title
from cwda.formatting import number, percent

if TYPE_CHECKING:
    from cwda.pruning import SimilarityResult

__all__ = ["show_similarity"]

#: As many pairs of criteria as have room beside a layer's name.
MOST_PAIRS = 6


def show_similarity(result: SimilarityResult, console: Console, *, layers: bool = True) -> None:
    """Print the similarity of criteria in one network."""
    title(result.network, console)
    pairs = plain_table("pair", numbers=("layers", "median", "lowest", "over .9"), space=2)
    pairs.add_column("lowest in")
    for row in result.summary().itertuples():
        pairs.add_row(
            f"{row.criterion_a}-{row.criterion_b}",
            str(row.layers),
            number(row.median),
            number(row.minimum),
            percent(row.share_above_90),
            row.lowest_layer,
        )
    console.print(pairs)
    names = list(
        dict.fromkeys(zip(result.table.criterion_a, result.table.criterion_b, strict=True))
    )
    if layers and len(names) <= MOST_PAIRS:
        table = layer_table(*("-".join(name[:4] for name in pair) for pair in names))
        for _, group in result.table.groupby("layer", sort=False):
            rows = list(group.itertuples())
            table.add_row(*layer_cells(rows[0]), *(number(row.spearman) for row in rows))
        console.print(table)
        console.print("  Spearman's rank correlation of the scores; – undefined", highlight=False)
    say_lines(reasons(result.table), console)
    console.print()
