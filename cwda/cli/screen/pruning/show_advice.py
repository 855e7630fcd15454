"""What `cwda advise` shows: the sentences, then clusters of criteria, scales and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, reasons
from cwda.cli.screen.table import Column, Table
from cwda.formatting import number, percent

if TYPE_CHECKING:
    from cwda.advice import Advice

__all__ = ["show_advice"]


def show_advice(result: Advice, screen: Screen) -> None:
    """Print the advice, and what it rests on."""
    for sentence in result.sentences:
        screen.remark(sentence.text, first="- ", rest="  ")
    screen.line()
    screen.table(
        _clusters(result),
        f"cluster: criteria whose pruned filters agree by {number(result.same)} or more; kappa: "
        "the lowest agreement in the cluster, where 0 is chance and 1 the same filters; *: "
        "advised; – a criterion alone agrees with none",
    )
    if result.cut_off:
        screen.remark(result.cut_off)
    if result.scales:
        screen.table(_scales(result))
        screen.remark(
            "one ranking over all layers, with scores normalised or not: layers that it empties, "
            "and the lowest agreement of the criterion with another of the cluster advised"
        )
    screen.table(
        _layers(result),
        "kappa: mean agreement of the criteria of the cluster advised; lowest: that of the pair "
        "which agrees least; swap: chance that a pruned and a kept filter swap in a fresh draw "
        "(50 % is a coin)",
    )
    screen.remarks(reasons(result.table))


def _clusters(result: Advice) -> Table:
    heads = [
        Column(
            "needs", right=False, spare=True, meaning="what the stand-in is computed from, at most"
        ),
        Column("kappa"),
        Column("interval", spare=True, meaning=f"{percent(result.level)} interval of kappa"),
        Column("tells apart", meaning="layers in which the stand-in can tell filters apart"),
    ]
    table = Table([Column("stand-in"), Column("cluster", right=False), *heads], gap=2)
    for row in result.clusters:
        interval = ""
        if row.agreement_low == row.agreement_low:
            interval = f"{number(row.agreement_low)} to {number(row.agreement_high)}"
        table.add(
            f"{row.stand_in} *" if row.advised else row.stand_in,
            row.criteria if row.cluster else "not placed",
            row.cost,
            number(row.agreement),
            interval or "–",
            f"{row.discriminates} of {row.layers}" if row.layers else "–",
        )
    return table


def _scales(result: Advice) -> Table:
    scales = list(dict.fromkeys(row.normalise for row in result.scales))
    rows = {(row.normalise, row.criterion): row for row in result.scales}
    marked = {row.normalise: f"{row.normalise} *" for row in result.scales if row.advised}
    heads = [
        Column(f"{marked.get(scale, scale)}\n{head}")
        for scale in scales
        for head in ("emptied", "kappa")
    ]
    table = Table([Column("normalise\ncriterion"), *heads], gap=2)
    for name in dict.fromkeys(row.criterion for row in result.scales):
        own = [rows[scale, name] for scale in scales]
        table.add(
            name, *(text for row in own for text in (str(row.emptied), number(row.agreement)))
        )
    return table


def _layers(result: Advice) -> Table:
    heads = [
        Column("advice", right=False),
        Column("kappa"),
        Column("lowest"),
        Column("pair", right=False, spare=True),
        Column(f"swap\n{result.criterion}"),
        Column("tells apart", right=False),
    ]
    table = layer_table(heads)
    for row in result.rows:
        table.add(
            *layer_cells(row),
            row.advice,
            number(row.agreement),
            number(row.lowest),
            row.lowest_pair,
            percent(row.swap),
            row.discriminate or "none",
        )
    return table
