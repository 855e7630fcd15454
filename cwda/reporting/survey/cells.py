"""Cells that several chapters of a survey's report have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from cwda.conditions.register import CONDITIONS
from cwda.formatting import number, percent
from cwda.population.shares import TOGETHER
from cwda.reporting.blocks import Column, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cross_table", "interval", "percent_interval"]


def percent_interval(value: float, low: float, high: float) -> str:
    """A share with its interval, such as "42 % (30 to 55)"."""
    if math.isnan(low):
        return percent(value)
    return f"{percent(value)} ({100 * low:.0f} to {100 * high:.0f})"


def interval(value: float, low: float, high: float) -> str:
    """A number with its interval, such as ".120 (.100 to .140)"."""
    if math.isnan(low):
        return number(value)
    return f"{number(value)} ({number(low)} to {number(high)})"


def cross_table(
    table: pd.DataFrame,
    value: str,
    heading: str,
    groups: Sequence[str],
    conditions: Iterable[str],
    text: Callable[[float], str],
    caption: str,
) -> Table:
    """One row per group and one column per condition, with the networks of each group."""
    conditions = list(conditions)
    cells = table.set_index(["group", "condition"])[value].to_dict()
    networks = table.groupby("group")["networks"].max().to_dict()
    rows = [
        [
            group,
            str(networks[group]),
            *(text(float(cells.get((group, condition), math.nan))) for condition in conditions),
        ]
        for group in groups
    ]
    heads = [Column(_short(name)) for name in conditions]
    words = [name for name in conditions if _short(name) != name]
    legend = f" Heads are short for {', '.join(words)}." if words else ""
    return Table([Column(heading, "text"), Column("nets"), *heads], rows, f"{caption}{legend}")


def _short(condition: str) -> str:
    """The head of its column: with nine of them, names of groups need the room."""
    if condition == TOGETHER:
        return "all"
    known = CONDITIONS.get(condition)
    return known.short if known else condition
