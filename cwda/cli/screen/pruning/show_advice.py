"""What `cwda advise` shows: conditions and advice in words, then clusters, scales and layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwda.advice.agreement import FEWEST_LAYERS
from cwda.advice.nothing import SELECTS_NONE
from cwda.advice.result import SHORT, UNRANKED
from cwda.cli.screen.conditions.show_check import show_answer
from cwda.cli.screen.pruning.what_next import Way, show_next
from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, once_more, reasons
from cwda.cli.screen.table import Column, Table
from cwda.formatting import number, percent

if TYPE_CHECKING:
    import pandas as pd

    from cwda.advice import Advice
    from cwda.conditions.table import CheckResult

__all__ = ["Decision", "show_decision"]

#: Under what the sentences of the advice stand, by their topics; others are of similarity.
_HEADS = {
    SHORT: "In short",
    "criterion": "Similarity",
    UNRANKED: "Applicability",
    "layers": "Applicability",
    "global ranking": "Global pruning",
}


@dataclass(frozen=True)
class Decision:
    """What is known of a network for a decision on pruning.

    Attributes
    ----------
    checked : CheckResult
        The conditions in the network.
    advice : Advice
        What to prune it by.
    way : Way
        How to go on from it.
    """

    checked: CheckResult
    advice: Advice
    way: Way

    @property
    def table(self) -> pd.DataFrame:
        """One row per layer."""
        return self.advice.table


def show_decision(result: Decision, screen: Screen) -> None:
    """Print the conditions and the advice in words, and what it rests on."""
    screen.line("Conditions", "bold")
    for verdict in result.checked.network.verdicts:
        show_answer(verdict, screen, first="- ")
    advice = result.advice
    for head in dict.fromkeys(_HEADS.values()):
        own = [each for each in advice.sentences if _HEADS.get(each.topic, "Similarity") == head]
        if own:
            screen.line(head, "bold")
        for each in own:
            screen.remark(each.text, first="- ", rest="  ")
    screen.line()
    if advice.criterion or any(row.reason != SELECTS_NONE for row in advice.clusters):
        _show_tables(advice, screen)
    else:
        screen.remarks(reasons(advice.table))
    once_more(" ".join(advice.short), len(advice), screen)
    show_next(advice, result.way, screen)


def _show_tables(result: Advice, screen: Screen) -> None:
    screen.table(
        _clusters(result),
        f"cluster: criteria whose pruned filters agree by {number(result.same)} or more; kappa: "
        "the lowest agreement in the cluster, where 0 is chance and 1 the same filters; *: "
        f"advised; – a criterion alone agrees with none, and fewer than {FEWEST_LAYERS} layers "
        "have no interval",
    )
    if result.cut_off:
        screen.remark(result.cut_off)
    if result.scales:
        screen.table(
            _scales(result),
            "one ranking over all layers, with scores normalised or not: layers that it empties, "
            "and the lowest agreement of the criterion with another of the cluster advised",
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
