"""How tables and remarks look on a screen of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cwda.formatting import many

if TYPE_CHECKING:
    import pandas as pd

    from cwda.layers import Network

__all__ = [
    "LayerRow",
    "layer_cells",
    "layer_table",
    "plain_table",
    "reasons",
    "say_lines",
    "title",
]

#: Lines of reasons shown; a file of --output has them all.
MOST_LINES = 8


def title(network: Network, console: Console) -> None:
    """Name, size and format of a network."""
    console.print(Text(network.name, style="bold"), highlight=False)
    console.print(
        f"{many(len(network), 'convolution')}, {many(network.n_weights, 'weight')} "
        f"({network.provenance.format})",
        highlight=False,
    )


def plain_table(*texts: str, numbers: Iterable[str] = (), space: int = 1) -> Table:
    """A table without lines: columns of text, then columns of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, space, 0, 0))
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def layer_table(*numbers: str) -> Table:
    """A table with a row per layer, its sizes, and columns of numbers."""
    return plain_table("layer", numbers=("N'", "d", *numbers))


class LayerRow(Protocol):
    """A row of any table with a row per layer."""

    @property
    def layer(self) -> str: ...
    @property
    def n_filters(self) -> int: ...
    @property
    def dim(self) -> int: ...


def layer_cells(row: LayerRow) -> tuple[Text, str, str]:
    """The first cells of a row of `layer_table`; the end of a long name says most."""
    name = row.layer if len(row.layer) <= 22 else "…" + row.layer[-21:]
    return Text(name), str(row.n_filters), str(row.dim)


def say_lines(lines: list[str], console: Console) -> None:
    """Print remarks, folded and indented, the first `MOST_LINES` of them."""
    hidden = len(lines) - MOST_LINES
    if hidden > 1:
        lines = [*lines[:MOST_LINES], f"and {hidden} remarks more; --output FILE has every row"]
    for line in lines:
        folded = textwrap.fill(line, console.width, initial_indent="  ", subsequent_indent="    ")
        console.print(folded, highlight=False, markup=False)


def reasons(table: pd.DataFrame) -> list[str]:
    """The reasons in the rows of a table, each with the number of its layers."""
    told = table[table["reason"] != ""].groupby("reason", sort=False)["layer"].nunique()
    return [f"{many(n, 'layer')}: {reason}" for reason, n in told.items()]
