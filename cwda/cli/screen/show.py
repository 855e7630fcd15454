"""What the screens of several verbs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cwda.cli.screen.reasons import Told, by_reason
from cwda.cli.screen.table import Column, Table
from cwda.formatting import many

if TYPE_CHECKING:
    import pandas as pd

    from cwda.cli.screen.screen import Screen
    from cwda.layers import Network

__all__ = ["layer_cells", "layer_table", "once_more", "reasons", "title"]

#: From so many layers on the answer has gone off the screen when its layers are shown.
_MANY = 40


def title(network: Network, screen: Screen) -> None:
    """Name, size and format of a network."""
    screen.line(network.name, "bold")
    screen.line(
        f"{many(len(network), 'convolution')}, {many(network.n_weights, 'weight')} "
        f"({network.provenance.format})"
    )


def layer_table(columns: Sequence[Column]) -> Table:
    """A table with one row per layer, its sizes, and further columns."""
    sizes = [
        Column("N'", spare=True, meaning="filters"),
        Column("d", spare=True, meaning="weights per filter"),
    ]
    return Table([Column("layer", right=False), *sizes, *columns], layers=True)


def once_more(answer: str, layers: int, screen: Screen) -> None:
    """Print the answer again below so many rows of layers that it is out of sight."""
    if layers >= _MANY and not screen.summary:
        screen.line()
        screen.line(f"To say it again after {many(layers, 'layer')}: {answer}")
        screen.line("--summary leaves the layers out", "dim")


class LayerRow(Protocol):
    """A row of any table with one row per layer."""

    @property
    def layer(self) -> str: ...
    @property
    def n_filters(self) -> int: ...
    @property
    def dim(self) -> int: ...


def layer_cells(row: LayerRow) -> tuple[str, str, str]:
    """The first cells of a row of `layer_table`."""
    return row.layer, str(row.n_filters), str(row.dim)


def reasons(table: pd.DataFrame) -> list[str]:
    """The reasons in the rows of a table, each with its layers."""
    told = table[table["reason"] != ""]
    return by_reason(Told("", *row) for row in zip(told["layer"], told["reason"], strict=True))
