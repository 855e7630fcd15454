"""What the figures draw: a table, checked, and its layers in order."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cwda.arguments import name_of
from cwda.errors import CwdaError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choose", "tidy", "unique"]


def tidy(
    source: object, columns: Sequence[str], made_by: str, *, several: bool = False
) -> pd.DataFrame:
    """The table of a result, or a table itself, with rows of one network unless of several.

    Raises
    ------
    CwdaError
        If it is not a table, lacks a column, is empty, or holds several networks.
    """
    import pandas as pd

    table = getattr(source, "table", source)
    if not isinstance(table, pd.DataFrame):
        raise CwdaError(
            f"the figure needs a table such as {made_by} gives, not {type(source).__name__}"
        )
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise CwdaError(
            f"the table has no column {missing[0]!r}; the figure takes the table of {made_by}"
        )
    if table.empty:
        raise CwdaError("the table is empty: there is nothing to draw")
    networks = unique(table["network"]) if "network" in table.columns else []
    if len(networks) > 1 and not several:
        raise CwdaError(
            f"the table holds {len(networks)} networks; draw one at a time, such as "
            f"table[table['network'] == {networks[0]!r}]"
        )
    return table


def unique(values: Any) -> list[Any]:
    """The different values, in order of appearance."""
    return list(dict.fromkeys(values))


def choose(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """The rows with one value of a column, or the name of an object.

    Raises
    ------
    CwdaError
        If there are none; the message names the values there are.
    """
    value = name_of(value)
    plain = isinstance(value, str | numbers.Number)
    rows = table[table[column] == value] if plain else table[:0]
    if rows.empty:
        values = ", ".join(map(str, unique(table[column])[:8]))
        raise CwdaError(f"the table has no {column} {value!r}; it has {values}")
    return rows
