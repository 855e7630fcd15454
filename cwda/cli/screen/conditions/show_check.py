"""What `cwda-test` shows: networks side by side, each as a whole, then its layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cwda.choices import Verdict
from cwda.cli.screen.conditions.show_reference import compared
from cwda.cli.screen.reasons import Told, by_reason
from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, once_more, title
from cwda.cli.screen.table import Cell, Column, Table
from cwda.conditions.directions import FREE_SCALE
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult, by_question
from cwda.conditions.table import CheckResult
from cwda.conditions.whole.expected import LEVEL
from cwda.conditions.whole.result import NetworkCondition, NetworkResult, NetworkVerdict
from cwda.filters.near_dead import near_dead, where_near_dead
from cwda.formatting import MARKS, layer_count, listed, number, p_value, percent
from cwda.layers import Network

__all__ = ["show", "show_answer"]

_STYLES: dict[Verdict, str] = {
    "holds": "green",
    "fails": "red",
    "inconclusive": "yellow",
    "not applicable": "dim",
}

#: The condition that near-dead filters violate.
_SEES_DEAD = "homogeneity"

_LIKE = "whether the weights are like a trained or an untrained network's"


def show(result: CheckResult, screen: Screen) -> None:
    """Print networks side by side, then each: the answer, the whole, its layers, what is left."""
    whole = result.network
    if len(result.networks) > 1:
        screen.line(f"{len(result.networks)} networks side by side", "bold")
        screen.table(_side_by_side(whole), _legend(result.level, whole))
        screen.line()
    for network, verdict in zip(result.networks, whole.verdicts, strict=True):
        rows = [row for row in result.rows if row.network == network.name]
        own = [row for row in whole if row.network == network.name]
        title(network, screen)
        show_answer(verdict, screen)
        screen.line()
        screen.table(_network_table(own, result.level))
        if not screen.summary:
            screen.line()
        if len(own) == 1:
            screen.table(_one_condition(rows, result.level))
        else:
            screen.table(_all_conditions(rows, own), _legend(result.level, rows))
        if result.scale == "unit":
            screen.remark("unit directions: each filter is divided by its root mean square")
        elif network.batchnorm:
            screen.remark(FREE_SCALE + "; see --scale unit")
        screen.remarks(
            _otherwise(rows, "fails"),
            _otherwise(rows, "inconclusive"),
            compared(rows),
            _near_dead(network, rows),
            [f"assumed: {text}" for text in network.assumptions],
            _left_out(network),
            _untested(rows),
        )
        once_more(verdict.sentences[0], len(network), screen)
        screen.line()


def show_answer(verdict: NetworkVerdict, screen: Screen, first: str = "") -> None:
    """Print the sentences on a network, each on a line of its own."""
    for at, sentence in enumerate(verdict.sentences):
        style = "" if at else _STYLES[verdict.verdict]
        screen.remark(sentence, style, first=first, rest="  ")


def _side_by_side(whole: NetworkResult) -> Table:
    """One row per network, one column per condition."""
    conditions = list(dict.fromkeys(row.condition for row in whole))
    failing = {row.condition for row in whole if row.verdict == "fails"}
    heads = [Column(CONDITIONS[name].short, kept=name in failing) for name in conditions]
    verdict = Column("verdict", right=False, spare=True, meaning="of all conditions together")
    like = Column("weights\nlike", right=False, spare=True, meaning=_LIKE)
    table = Table([Column("network"), *heads, verdict, like], shorten=True)
    cells = {(row.network, row.condition): row for row in whole}
    for found in whole.verdicts:
        own = [cells[found.network, name] for name in conditions]
        table.add(
            found.network,
            *map(_cell, own),
            (found.verdict, _STYLES[found.verdict]),
            found.like,
        )
    return table


def _network_table(conditions: Sequence[NetworkCondition], level: float) -> Table:
    table = Table(
        [
            Column("condition"),
            Column("effect", meaning="mean over the weights of the layers"),
            Column(f"{100 * level:g} %\ninterval", meaning="of the effect"),
            Column("margin", meaning="largest effect that counts as negligible"),
            Column(
                "verdict",
                right=False,
                meaning="holds if the interval lies within the margin, fails beyond it, else "
                f"inconclusive{_unless(conditions)}",
            ),
            Column("layers\nhold", meaning="of those that can be judged"),
            Column("under\nCWDA", meaning=_under_cwda(conditions, level)),
            Column("fail", spare=True, meaning="layers in which it fails"),
            Column("weights\njudged", spare=True, meaning="share of the network's weights"),
        ],
        gap=2,
    )
    for row in conditions:
        cells = ["", "", "", "", ""]
        if row.layers:
            cells = [
                number(row.effect),
                f"{number(row.effect_low)} to {number(row.effect_high)}",
                f"{row.holds} of {row.layers}",
                layer_count(row.expected_holds),
                str(row.fails),
            ]
        effect, interval, *counts = cells
        verdict = (row.verdict, _STYLES[row.verdict])
        margin = number(row.margin)
        table.add(row.condition, effect, interval, margin, verdict, *counts, percent(row.weights))
    return table


def _all_conditions(
    rows: Sequence[ConditionResult], conditions: Sequence[NetworkCondition]
) -> Table:
    table = layer_table(
        [Column(CONDITIONS[row.condition].short, kept=row.verdict == "fails") for row in conditions]
    )
    width = len(conditions)
    for start in range(0, len(rows), width):
        cells = rows[start : start + width]
        table.add(*layer_cells(cells[0]), *(_cell(cell) for cell in cells))
    return table


def _cell(row: ConditionResult | NetworkCondition) -> Cell:
    """The effect and the mark of its verdict."""
    if row.verdict == "not applicable":
        return MARKS[row.verdict], _STYLES[row.verdict]
    return f"{number(row.effect)} {MARKS[row.verdict]}", _STYLES[row.verdict]


def _one_condition(rows: Sequence[ConditionResult], level: float) -> Table:
    verdict, interval = Column("verdict", right=False), f"{100 * level:g} %\ninterval"
    numbers = [Column(head) for head in ("effect", interval, "p", "p\nHolm")]
    table = layer_table([verdict, *numbers])
    for row in rows:
        cells = ["", "", "", ""]
        if row.verdict != "not applicable":
            ends = f"{number(row.effect_low)} to {number(row.effect_high)}"
            cells = [number(row.effect), ends, p_value(row.pvalue), p_value(row.pvalue_holm)]
        table.add(*layer_cells(row), (row.verdict, _STYLES[row.verdict]), *cells)
    return table


def _legend(level: float, rows: Iterable[ConditionResult | NetworkCondition]) -> str:
    return (
        f"effect and verdict: {MARKS['holds']} the {100 * level:g} % interval lies "
        f"within the margin, {MARKS['fails']} beyond it, {MARKS['inconclusive']} neither, "
        f"{MARKS['not applicable']} not applicable{_unless(rows)}"
    )


def _unless(rows: Iterable[ConditionResult | NetworkCondition]) -> str:
    """The conditions in which the mark is that of a further question."""
    names = listed([*dict.fromkeys(row.condition for row in rows if by_question(row))])
    return f", unless a further question decides, as of {names} here" if names else ""


def _under_cwda(conditions: Sequence[NetworkCondition], level: float) -> str:
    """What the expected counts are, and why some are not known."""
    meaning = "as many if every effect were 0"
    unknown = [row for row in conditions if row.layers and math.isnan(row.expected_holds)]
    if not unknown:
        return meaning
    if math.isclose(level, LEVEL) and all(map(_as_by_default, unknown)):
        return f"{meaning}, – not known for such layers"
    return f"{meaning}, known for the default level and margins, weights as stored"


def _as_by_default(row: NetworkCondition) -> bool:
    return row.scale == "raw" and row.margin == CONDITIONS[row.condition].margin


def _otherwise(rows: Sequence[ConditionResult], verdict: Verdict) -> list[str]:
    """The layers with a verdict that the interval alone does not give, and the reason."""
    told = [
        Told(row.condition, row.layer, row.note)
        for row in rows
        if row.verdict == verdict and by_question(row)
    ]
    return [f"{MARKS[verdict]} by another reason: {line}" for line in by_reason(told)]


def _near_dead(network: Network, rows: Sequence[ConditionResult]) -> list[str]:
    """Filters of next to no norm in all layers, also where homogeneity is not judged."""
    judged = {row.layer: row.verdict for row in rows if row.condition == _SEES_DEAD}
    if not judged or any(row.scale == "unit" for row in rows):
        return []
    dead = [
        _Dead(layer.name, count, layer.n_filters)
        for layer in network
        if (count := near_dead(layer))
    ]
    if not dead:
        return []
    unjudged = sum(judged[row.layer] == "not applicable" for row in dead)
    of = "this layer" if len(dead) == 1 else f"{unjudged} of these {len(dead)} layers"
    told = f"; {_SEES_DEAD} is not judged in {of}" if unjudged else ""
    return [f"near-dead filters: {where_near_dead(dead)}{told}"]


class _Dead(NamedTuple):
    """A layer with near-dead filters."""

    layer: str
    near_dead: int
    n_filters: int


def _left_out(network: Network) -> list[str]:
    told = [Told("", skipped.name, skipped.reason) for skipped in network.skipped]
    return [f"left out: {line}" for line in by_reason(told, "tensor")]


def _untested(rows: Sequence[ConditionResult]) -> list[str]:
    """Reasons, each once for all the conditions that it keeps from the same layers."""
    told = [
        Told(row.condition, row.layer, row.reason)
        for row in rows
        if row.verdict == "not applicable"
    ]
    conditions = {row.condition for row in rows}
    lines = by_reason(told, whole=conditions, every="all conditions")
    return [f"not applicable: {line}" for line in lines]
