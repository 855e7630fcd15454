"""What an experiment shows: accuracies by criterion and ratio, then how alike criteria are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.table import Column, Table
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

    from cwda.experiment import ExperimentResult

__all__ = ["show_experiment"]


def show_experiment(result: ExperimentResult, screen: Screen) -> None:
    """Print the accuracies of an experiment."""
    first = result.table.iloc[0]
    screen.line(
        f"{result.networks[0].name}: {first['accuracy']:.2f} ± {first['accuracy_se']:.2f} % "
        f"unpruned, on {first['images']:,} images"
    )
    for (strategy, stage), rows in result.summary().groupby(["strategy", "stage"], sort=False):
        screen.line(f"{strategy}, {stage}", "bold")
        screen.table(_accuracies(rows))
        screen.line()
    alike = result.agreement()
    if len(alike):
        screen.line(
            "Rank correlation, over pairs of criteria, between their likeness and their difference "
            "in accuracy (negative: criteria that are alike leave close accuracies)"
        )
        screen.table(_agreement(alike))
    reasons = result.table.loc[result.table["reason"] != "", ["criterion", "ratio", "reason"]]
    screen.remarks(
        [f"{row.criterion} at {row.ratio:g}: {row.reason}" for row in reasons.itertuples()]
    )


def _accuracies(rows: pd.DataFrame) -> Table:
    ratios = list(dict.fromkeys(rows["ratio"]))
    heads = [f"{100 * ratio:g} %" for ratio in ratios]
    shown = Table([Column("criterion"), *map(Column, heads)], gap=2)
    for criterion, group in rows.groupby("criterion", sort=False):
        by_ratio = group.set_index("ratio")
        shown.add(criterion, *(_cell(by_ratio.loc[ratio]) for ratio in ratios))
    return shown


def _cell(row: pd.Series) -> str:
    if not row["seeds"]:
        return "–"
    half = (row["highest"] - row["lowest"]) / 2
    return f"{row['accuracy']:.2f}" + (f" ± {half:.2f}" if row["seeds"] > 1 else "")


def _agreement(alike: pd.DataFrame) -> Table:
    columns = {"overlap": "overlap", "spearman": "Sp", "spearman_predicted": "Sp\npredicted"}
    heads = [Column("stage", right=False), *map(Column, ("ratio", *columns.values()))]
    shown = Table([Column("strategy"), *heads], gap=2)
    for row in alike.to_dict("records"):
        shown.add(
            row["strategy"],
            row["stage"],
            f"{100 * row['ratio']:g} %",
            *(number(row[column]) for column in columns),
        )
    return shown
