"""What `cwda prune` shows: accuracies by criterion and ratio, then how alike criteria are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from cwda.cli.format import plain_table, say_lines
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

    from cwda.experiment import ExperimentResult

__all__ = ["show_experiment"]


def show_experiment(result: ExperimentResult, console: Console | None = None) -> None:
    """Print the accuracies of an experiment."""
    console = console or Console()
    first = result.table.iloc[0]
    console.print(
        f"{result.network}: {first['accuracy']:.2f} ± {first['accuracy_se']:.2f} % unpruned, "
        f"on {first['images']:,} images",
        highlight=False,
    )
    for (strategy, stage), rows in result.summary().groupby(["strategy", "stage"], sort=False):
        console.print(_accuracies(rows, f"{strategy}, {stage}"))
        console.print()
    alike = result.agreement()
    if len(alike):
        console.print("Rank correlation over pairs of criteria of their likeness with the", end="")
        console.print(" difference in accuracy (negative: alike criteria are close)")
        console.print(_agreement(alike))
    told = result.table.loc[result.table["reason"] != "", ["criterion", "ratio", "reason"]]
    say_lines([f"{row.criterion} at {row.ratio:g}: {row.reason}" for row in told.itertuples()],
              console)  # fmt: skip


def _accuracies(rows: pd.DataFrame, title: str) -> object:
    ratios = list(dict.fromkeys(rows["ratio"]))
    shown = plain_table(title, numbers=[f"{100 * ratio:g} %" for ratio in ratios], space=2)
    for criterion, group in rows.groupby("criterion", sort=False):
        by_ratio = group.set_index("ratio")
        shown.add_row(criterion, *(_cell(by_ratio.loc[ratio]) for ratio in ratios))
    return shown


def _cell(row: pd.Series) -> str:
    if not row["seeds"]:
        return "–"
    half = (row["highest"] - row["lowest"]) / 2
    return f"{row['accuracy']:.2f}" + (f" ± {half:.2f}" if row["seeds"] > 1 else "")


def _agreement(alike: pd.DataFrame) -> object:
    columns = {"overlap": "overlap", "spearman": "Sp", "spearman_predicted": "Sp predicted"}
    shown = plain_table("strategy", "stage", numbers=("ratio", *columns.values()), space=2)
    for row in alike.to_dict("records"):
        shown.add_row(
            row["strategy"],
            row["stage"],
            f"{100 * row['ratio']:g} %",
            *(number(row[column]) for column in columns),
        )
    return shown
