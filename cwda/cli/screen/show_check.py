"""What `cwda-test` shows: the network as a whole, then its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cwda.choices import Verdict
from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import layer_cells, layer_table, title
from cwda.cli.screen.table import Cell, Column, Table
from cwda.conditions.directions import FREE_SCALE
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult
from cwda.conditions.whole.result import NetworkCondition
from cwda.formatting import MARKS, layer_count, many, number, p_value, percent
from cwda.layers import Network

__all__ = ["show"]

_STYLES: dict[Verdict, str] = {
    "holds": "green",
    "fails": "red",
    "inconclusive": "yellow",
    "not applicable": "dim",
}


def show(result: CheckResult, screen: Screen) -> None:
    """Print the result of each network: as a whole, its layers, then what was left out."""
    whole = result.network
    for network, verdict in zip(result.networks, whole.verdicts, strict=True):
        rows = [row for row in result.rows if row.network == network.name]
        own = [row for row in whole if row.network == network.name]
        title(network, screen)
        screen.line(verdict.sentence, _STYLES[verdict.verdict])
        screen.table(_network_table(own, result.level))
        if not screen.summary:
            screen.line()
        if len(own) == 1:
            screen.table(_one_condition(rows, result.level))
        else:
            screen.table(_all_conditions(rows, own), _legend(result.level))
        if result.scale == "unit":
            screen.remark("unit directions: each filter is divided by its root mean square")
        elif network.batchnorm:
            screen.remark(FREE_SCALE + "; see --scale unit")
        screen.remarks(_remarks(network, rows))
        screen.line()


def _network_table(conditions: Sequence[NetworkCondition], level: float) -> Table:
    table = Table(
        [
            Column("condition"),
            Column("effect", meaning="mean over the weights of the layers"),
            Column(f"{100 * level:g} %\ninterval"),
            Column("margin", meaning="largest effect that counts as negligible"),
            Column("verdict", right=False),
            Column("layers\nhold", meaning="of those that can be judged"),
            Column("under\nCWDA", meaning="as many if every effect were 0"),
            Column("fail", spare=True),
            Column("weights\njudged", spare=True),
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
    table = layer_table([Column(CONDITIONS[row.condition].short) for row in conditions])
    width = len(conditions)
    for start in range(0, len(rows), width):
        cells = rows[start : start + width]
        table.add(*layer_cells(cells[0]), *map(_cell, cells))
    return table


def _cell(row: ConditionResult) -> Cell:
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


def _legend(level: float) -> str:
    return (
        f"effect and verdict: {MARKS['holds']} the {100 * level:g} % interval lies "
        f"within the margin, {MARKS['fails']} beyond it, {MARKS['inconclusive']} neither, "
        f"{MARKS['not applicable']} not applicable"
    )


def _remarks(network: Network, rows: Sequence[ConditionResult]) -> list[str]:
    """Assumptions, what was left out of the source, and what could not be tested."""
    lines = [f"assumed: {text}" for text in network.assumptions]
    reasons = Counter(skipped.reason for skipped in network.skipped)
    lines += [f"left out: {many(n, 'tensor')}: {reason}" for reason, n in reasons.most_common()]
    return lines + _untested(rows)


def _untested(rows: Sequence[ConditionResult]) -> list[str]:
    """Reasons, each once for all the conditions that it keeps from the same number of layers."""
    counted = Counter(
        (row.reason, row.condition) for row in rows if row.verdict == "not applicable"
    )
    together: dict[tuple[str, int], list[str]] = {}
    for (reason, condition), n in counted.most_common():
        together.setdefault((reason, n), []).append(condition)
    return [
        f"not applicable: {', '.join(conditions)} in {many(n, 'layer')}: {reason}"
        for (reason, n), conditions in together.items()
    ]
