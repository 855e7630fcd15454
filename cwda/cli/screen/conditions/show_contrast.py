"""What `cwda contrast` shows: what differs, each condition, then the layers that both have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cwda.choices import Contrasted
from cwda.cli.screen.conditions.show_reference import compared_pairs
from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import title
from cwda.cli.screen.table import Column, Table
from cwda.conditions.register import CONDITIONS
from cwda.formatting import number

if TYPE_CHECKING:
    from cwda.conditions.whole.contrast_result import Contrast, LayerPair

__all__ = ["show_contrast"]

_STYLES: dict[Contrasted, str] = {
    "differs": "red",
    "same": "green",
    "unsettled": "yellow",
    "not applicable": "dim",
}


def show_contrast(result: Contrast, screen: Screen) -> None:
    """Print what differs, in words, the conditions, and the layers that both networks have."""
    for network in result.networks:
        title(network, screen)
    for at, sentence in enumerate(result.sentences):
        screen.line(sentence, "" if at else "bold")
    screen.line()
    screen.table(_conditions(result))
    if result.layers and not screen.summary:
        screen.line()
        screen.table(_layers(result.layers), "others: change of the effect")
    screen.remarks(compared_pairs(result.layers))
    screen.line()


def _conditions(result: Contrast) -> Table:
    table = Table(
        [
            Column("condition"),
            Column("first", spare=True, meaning="effect in the first network, over the weights"),
            Column("second", spare=True, meaning="in the second"),
            Column("change", meaning="second less first"),
            Column(
                "interval",
                meaning=f"of the change; all hold together at {100 * result.level:g} %",
            ),
            Column(
                "verdict",
                right=False,
                meaning="same if the interval lies within the margin, else differs if it excludes "
                "0, else unsettled",
            ),
            Column("margin", spare=True, meaning="largest change that counts as negligible"),
        ],
        gap=2,
    )
    for row in result:
        numbers = ["–"] * 4
        if row.verdict != "not applicable":
            interval = f"{number(row.difference_low)} to {number(row.difference_high)}"
            numbers = [*map(number, (row.effect_a, row.effect_b, row.difference)), interval]
        verdict = row.verdict, _STYLES[row.verdict]
        table.add(row.condition, *numbers, verdict, number(row.margin))
    return table


def _layers(pairs: Sequence[LayerPair]) -> Table:
    conditions = list(dict.fromkeys(pair.condition for pair in pairs))
    kept = Column("kept", spare=True, meaning="cosine between the weights of both")
    heads = [Column(CONDITIONS[name].short) for name in conditions]
    table = Table([Column("layer", right=False), kept, *heads], layers=True)
    for start in range(0, len(pairs), len(conditions)):
        own = pairs[start : start + len(conditions)]
        differences = [number(pair.effect_b - pair.effect_a) for pair in own]
        table.add(own[0].layer, number(own[0].kept), *differences)
    return table
