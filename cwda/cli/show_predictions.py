"""What `cwda predict`, `cwda applicability` and `cwda global` show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from cwda.cli.format import layer_cells, layer_table, plain_table, reasons, say_lines, title
from cwda.formatting import number, percent

if TYPE_CHECKING:
    from cwda.comparison import Applicability, Comparison, GlobalPruning
    from cwda.layers import Network

__all__ = ["show_applicability", "show_comparison", "show_global_pruning"]

#: Criteria that have room beside a layer's name.
MOST_CRITERIA = 4


def show_comparison(network: Network, result: Comparison, console: Console) -> None:
    """Print how well each model predicts each pair of criteria."""
    title(network, console)
    table = plain_table(
        "pair",
        "model",
        numbers=("layers", "error", "bias", "coverage", "departures"),
        space=2,
    )
    for row in result.summary().itertuples():
        table.add_row(
            f"{row.criterion_a}-{row.criterion_b}",
            row.rung,
            str(row.layers),
            number(row.mae),
            number(row.bias),
            percent(row.coverage),
            str(row.departures),
        )
    console.print(table)
    console.print(
        "  error, bias: of the predicted Spearman coefficient; coverage: layers\n"
        f"  within the {100 * result.level:g} % prediction interval; departures: layers beyond "
        "chance",
        highlight=False,
    )
    say_lines(reasons(result.table), console)
    console.print()


def show_applicability(
    network: Network, result: Applicability, console: Console, *, layers: bool
) -> None:
    """Print how far the scores scatter, and how often noise would swap filters."""
    title(network, console)
    table = plain_table(
        "criterion",
        numbers=("CV", "predicted", "ratio", "swap", "discriminates", "weakly", "not"),
        space=2,
    )
    for row in result.summary().itertuples():
        table.add_row(
            row.criterion,
            number(row.median_cv),
            number(row.median_cv_predicted),
            number(row.median_cv_ratio),
            percent(row.median_swap),
            str(row.discriminates),
            str(row.weakly),
            str(row.cannot_discriminate),
        )
    console.print(table)
    if layers and len(result.criteria) <= MOST_CRITERIA:
        heads = [f"{head} {name}" for name in result.criteria for head in ("CV", "swap")]
        table = layer_table(*heads)
        for _, group in result.table.groupby("layer", sort=False):
            rows = list(group.itertuples())
            cells = [text for row in rows for text in (number(row.cv), percent(row.swap))]
            table.add_row(*layer_cells(rows[0]), *cells)
        console.print(table)
    console.print(
        "  CV: of the scores; predicted: under CWDA; swap: chance that sampling noise swaps\n"
        f"  a pruned and a kept filter at a ratio of {percent(result.ratio)} (50 % is a coin)",
        highlight=False,
    )
    say_lines(reasons(result.table), console)
    console.print()


def show_global_pruning(
    network: Network, result: GlobalPruning, console: Console, *, layers: bool
) -> None:
    """Print the shares that layers lose, and the layers that are emptied."""
    title(network, console)
    best = result.table["rung"].iloc[-1] if len(result.table) else ""
    table = plain_table(
        "criterion", numbers=("ratio", "error", "in interval", "emptied", "danger"), space=2
    )
    for row in result.summary().itertuples():
        if row.rung == best:
            table.add_row(
                row.criterion,
                percent(row.ratio),
                number(row.error),
                percent(row.within),
                str(row.emptied),
                str(row.danger),
            )
    console.print(table)
    shown = result.table[result.table["rung"] == best]
    ratio = max(shown["ratio"], default=0.0)
    shown = shown[shown["ratio"] == ratio]
    criteria = list(dict.fromkeys(shown["criterion"]))
    if layers and len(criteria) <= MOST_CRITERIA:
        heads = [f"{head} {name}" for name in criteria for head in ("pred.", "is")]
        table = layer_table(*heads)
        for _, group in shown.groupby("layer", sort=False):
            rows = list(group.itertuples())
            cells = [
                percent(share)
                for row in rows
                for share in (row.share_predicted, row.share_measured)
            ]
            table.add_row(*layer_cells(rows[0]), *cells)
        console.print(table)
        console.print(
            f"  share of its filters that a layer loses at a ratio of {percent(ratio)}:\n"
            f"  predicted ({best}) and measured",
            highlight=False,
        )
    say_lines(reasons(shown), console)
    console.print()
