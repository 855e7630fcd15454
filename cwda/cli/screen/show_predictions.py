"""What `cwda predict`, `cwda applicability` and `cwda global-pruning` show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, reasons
from cwda.cli.screen.table import Column, Table
from cwda.comparison.results import BOUND
from cwda.formatting import number, percent

if TYPE_CHECKING:
    import pandas as pd

    from cwda.comparison import Applicability, Comparison, GlobalPruning
    from cwda.theory import Rung

__all__ = ["show_applicability", "show_comparison", "show_global_pruning"]


def show_comparison(result: Comparison, screen: Screen) -> None:
    """Print how well each rung predicts each pair of criteria."""
    heads = [Column(head) for head in ("layers", "error", "bias", "coverage", "departures")]
    table = Table([Column("pair"), Column("rung", right=False), *heads], gap=2)
    for row in result.summary().itertuples():
        table.add(
            f"{row.criterion_a}-{row.criterion_b}",
            row.rung,
            str(row.layers),
            number(row.mae),
            number(row.bias),
            percent(row.coverage),
            str(row.departures),
        )
    screen.table(table)
    screen.remark(
        "error, bias: of the predicted Spearman coefficient; coverage: layers within the "
        f"{100 * result.level:g} % prediction interval; departures: layers that differ from the "
        "prediction by more than chance"
    )
    words = [f"{rung.name}: {rung.words}" for rung in _rungs(result)]
    if any(not math.isnan(row.bound) for row in result):
        words.append(
            f"{BOUND[1]}: no prediction, but Moran's formula on the measured moments of the "
            "scores, the best that one through plain moments can do"
        )
    screen.remark("rungs: " + "; ".join(words))
    screen.remarks(reasons(result.table))


def _rungs(result: Comparison) -> list[Rung]:
    """Those of the ladder that the answer has."""
    from cwda.theory import LADDER

    names = {row.rung for row in result}
    return [rung for rung in LADDER if rung.name in names]


def show_applicability(result: Applicability, screen: Screen) -> None:
    """Print how far the scores scatter, and how often other draws would swap filters."""
    from cwda.theory.swaps import SWAP_DISCRIMINATES, SWAP_WEAK

    heads = ("CV", "predicted", "ratio", "swap", "discriminates", "weakly", "not", "apart")
    table = Table([Column("criterion"), *map(Column, heads)], gap=2)
    for row in result.summary().itertuples():
        table.add(
            row.criterion,
            number(row.median_cv),
            number(row.median_cv_predicted),
            number(row.median_cv_ratio),
            percent(_either(row.median_swap_filters, row.median_swap_images)),
            str(row.discriminates),
            str(row.weakly),
            str(row.cannot_discriminate),
            str(row.layers_apart),
        )
    screen.table(table)
    screen.table(_scatter_of_layers(result))
    screen.remark(
        "CV: coefficient of variation of the scores, median of the layers; predicted: under CWDA; "
        "ratio: measured over predicted; discriminates, weakly, not: number of layers with a swap "
        f"of {percent(SWAP_DISCRIMINATES)} at most, of {percent(SWAP_WEAK)} at most, and of more; "
        "apart: layers with filters that lie apart below the others"
    )
    screen.remark("low: smallest score over the median, + number of filters apart; – undefined")
    screen.remark(
        "swap: chance that a fresh draw swaps a pruned and a kept filter at a ratio of "
        f"{percent(result.ratio)} (50 % is a coin); a draw of {_draws(result)}"
    )
    screen.remarks(reasons(result.table))


def _either(filters: float, images: float) -> float:
    """The larger of two probabilities, either of which may be missing."""
    known = [each for each in (filters, images) if not math.isnan(each)]
    return max(known, default=math.nan)


def _draws(result: Applicability) -> str:
    """What is drawn afresh, for which criteria."""
    found = result.table[result.table["basis"] != ""]
    groups = found.groupby("basis")["criterion"].unique()
    draws = [
        f"{name.removeprefix('fresh ')} for {', '.join(groups[name])}" for name in groups.index
    ]
    return " and of ".join(draws) or "nothing: no criterion has one"


def _scatter_of_layers(result: Applicability) -> Table:
    heads = [f"{head}\n{name}" for name in result.criteria for head in ("low", "swap")]
    table = layer_table(list(map(Column, heads)))
    for _, group in result.table.groupby("layer", sort=False):
        rows = list(group.itertuples())
        cells = [
            text
            for row in rows
            for text in (
                f"{number(row.lowest)}+{row.apart}" if row.apart else number(row.lowest),
                percent(_either(row.swap_filters, row.swap_images)),
            )
        ]
        table.add(*layer_cells(rows[0]), *cells)
    return table


def show_global_pruning(result: GlobalPruning, screen: Screen) -> None:
    """Print the shares that layers lose, and the layers that are emptied."""
    best = result.table["rung"].iloc[-1] if len(result.table) else ""
    of_images = bool((result.table["share_changed"] > 0).any())
    heads = ("ratio", "error", "in interval", "emptied", "danger", *["changed"] * of_images)
    table = Table([Column("criterion"), *map(Column, heads)], gap=2)
    for row in result.summary().itertuples():
        if row.rung == best:
            table.add(
                row.criterion,
                percent(row.ratio),
                number(row.error),
                percent(row.within),
                str(row.emptied),
                str(row.danger),
                *([percent(row.share_changed)] if of_images else []),
            )
    screen.table(table)
    screen.remark(
        "error: mean absolute error of the predicted shares of the layers; in interval: layers "
        "whose share lies within the predicted interval; emptied: layers that lose all filters; "
        "danger: layers that may, with a probability of .05 or more"
        + (
            "; changed: share of the pruned filters that another draw of as many images would spare"
            if of_images
            else ""
        )
    )
    shown = result.table[result.table["rung"] == best]
    ratio = max(shown["ratio"], default=0.0)
    shown = shown[shown["ratio"] == ratio]
    others = [percent(other) for other in sorted({*result.table["ratio"]} - {ratio})]
    screen.table(
        _shares_of_layers(shown),
        f"share of its filters that a layer loses at a ratio of {percent(ratio)}: predicted "
        f"({best}) and measured" + (f"; {', '.join(others)}: see --output" if others else ""),
    )
    screen.remarks([*result.warnings, *reasons(shown)])


def _shares_of_layers(shown: pd.DataFrame) -> Table:
    criteria = dict.fromkeys(shown["criterion"])
    heads = [f"{head}\n{name}" for name in criteria for head in ("pred.", "is")]
    table = layer_table(list(map(Column, heads)))
    for _, group in shown.groupby("layer", sort=False):
        rows = list(group.itertuples())
        shares = [each for row in rows for each in (row.share_predicted, row.share_measured)]
        table.add(*layer_cells(rows[0]), *map(percent, shares))
    return table
