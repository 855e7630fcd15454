"""Cells that several chapters of a survey's report have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from cwda.formatting import number, percent
from cwda.reporting.blocks import Column, Table, Text

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
    caption: Text,
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
    columns = [Column(heading, "text"), Column("networks"), *map(Column, conditions)]
    return Table(columns, rows, caption)
