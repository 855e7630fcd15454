"""What `cwda validity` shows: criteria over the layers, then layers by criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, reasons
from cwda.cli.screen.table import Column, Table
from cwda.formatting import number, percent
from cwda.scoring.catalogue import RANDOM

if TYPE_CHECKING:
    from cwda.comparison import Validity

__all__ = ["show_validity"]

_MARKS = {
    "valid": "v",
    "inconclusive": "i",
    "weak": "w",
    "not better than random": "=",
    "oracle too noisy": "?",
}


def show_validity(result: Validity, screen: Screen) -> None:
    """Print how criteria agree with the oracle in one network."""
    screen.table(_criteria(result))
    screen.remark(
        "measured: Spearman's coefficient with the loss when a filter is removed, median of the "
        "layers; corrected: of all layers, without the noise of the images, and its "
        f"{percent(result.level)} interval over layers, from and to; itself: the criterion with "
        f"itself on other images; regret: loss of its selection at {percent(result.ratio)}, 0 as "
        "the oracle's, 1 as a random one"
    )
    from cwda.numerics.ranking.rank_intervals import FEWEST_FOR_INTERVAL

    screen.remark(
        "corrected may exceed 1, as reliabilities are estimates; regret may exceed 1, worse than "
        "random, or lie below 0, better than filters chosen one by one; – undefined, such as an "
        f"interval from fewer than {FEWEST_FOR_INTERVAL} layers; valid, weak, as random: number of "
        "layers"
    )
    screen.table(
        _layers(result),
        "coefficient in each layer: "
        + ", ".join(f"{mark} {verdict}" for verdict, mark in _MARKS.items()),
    )
    screen.remark("oracle: its coefficient with itself on the other half of the images")
    screen.remarks(reasons(result.table))


def _criteria(result: Validity) -> Table:
    heads = ("measured", "corrected", "from", "to", "itself", "regret")
    counts = ("valid", "inconclusive", "weak", "as random")
    table = Table([Column("criterion"), *map(Column, (*heads, *counts))], gap=2)
    for row in result.summary().itertuples():
        table.add(
            row.criterion,
            *map(number, (row.spearman, row.pooled, row.pooled_low, row.pooled_high)),
            number(row.half_reliability),
            number(row.regret),
            str(row.valid),
            str(row.inconclusive),
            str(row.weak),
            str(row.not_better_than_random),
        )
    return table


def _layers(result: Validity) -> Table:
    names = [name for name in result.criteria if name != RANDOM]
    table = layer_table([*map(Column, names), Column("oracle")])
    for _, group in result.table.groupby("layer", sort=False):
        rows = [row for row in group.itertuples() if row.criterion != RANDOM]
        cells = [f"{number(row.spearman)} {_MARKS.get(row.verdict, ' ')}" for row in rows]
        table.add(*layer_cells(rows[0]), *cells, number(rows[0].oracle_half_reliability))
    return table
