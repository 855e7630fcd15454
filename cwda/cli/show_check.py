"""What `cwda-test` shows: verdict counts and layers, within 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cwda.cli.format import layer_cells, layer_table, plain_table, say_lines, title
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult, ConditionCount, count_verdicts
from cwda.formatting import MARKS, many, number, p_value, percent
from cwda.layers import Network

__all__ = ["show"]

_STYLES = {"holds": "green", "fails": "red", "inconclusive": "yellow", "not applicable": "dim"}
_ASCII_MARKS = {"holds": "+", "fails": "x", "inconclusive": "?", "not applicable": "-"}


def show(result: CheckResult, console: Console, *, layers: bool = True) -> None:
    """Print the result of each network: counts, then layers, then what was left out."""
    counts = count_verdicts(result)
    for network in result.networks:
        rows = [row for row in result.results if row.network == network.name]
        own = [count for count in counts if count.network == network.name]
        _show_network(network, rows, own, result.alpha, console, layers)


def _show_network(
    network: Network,
    rows: Sequence[ConditionResult],
    counts: Sequence[ConditionCount],
    alpha: float,
    console: Console,
    layers: bool,
) -> None:
    title(network, console)
    console.print(_counts_table(counts))
    if layers and len(counts) == 1:
        console.print(_one_condition(rows, alpha, console))
    elif layers:
        console.print(_all_conditions(rows, counts, console))
        console.print(_legend(alpha, console), highlight=False)
    say_lines(_remarks(network, rows), console)
    console.print()


def _counts_table(counts: Sequence[ConditionCount]) -> Table:
    table = plain_table("condition", space=2)
    for name in ("holds", "fails", "inconclusive"):
        table.add_column(name, justify="right", style=_STYLES[name])
    table.add_column("n/a", justify="right", style="dim")
    table.add_column("weights hold", justify="right")
    table.add_column("median", justify="right")
    table.add_column("margin", justify="right")
    for count in counts:
        table.add_row(
            count.condition,
            str(count.holds),
            str(count.fails),
            str(count.inconclusive),
            str(count.not_applicable),
            percent(count.weights_hold),
            number(count.median_effect),
            number(count.margin),
        )
    return table


def _all_conditions(
    rows: Sequence[ConditionResult], counts: Sequence[ConditionCount], console: Console
) -> Table:
    table = layer_table(*(_SHORT[count.condition] for count in counts))
    width = len(counts)
    for start in range(0, len(rows), width):
        cells = rows[start : start + width]
        table.add_row(*layer_cells(cells[0]), *(_cell(row, console) for row in cells))
    return table


_SHORT = {
    "gaussianity": "gauss",
    "variance": "var",
    "mean": "mean",
    "epsilon": "eps",
    "independence": "indep",
    "homogeneity": "homog",
}


def _one_condition(rows: Sequence[ConditionResult], alpha: float, console: Console) -> Table:
    table = layer_table("effect", f"{100 * (1 - 2 * alpha):g} % interval", "p", "p Holm")
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        numbers = ["", "", "", ""]
        if row.verdict != "not applicable":
            interval = f"{number(row.effect_low)} to {number(row.effect_high)}"
            numbers = [number(row.effect), interval, p_value(row.pvalue), p_value(row.pvalue_holm)]
        table.add_row(*layer_cells(row), *numbers, Text(row.verdict, style=_STYLES[row.verdict]))
    return table


def _cell(row: ConditionResult, console: Console) -> Text:
    mark = _marks(console)[row.verdict]
    if row.verdict == "not applicable":
        return Text(mark, style="dim")
    return Text(f"{number(row.effect)} {mark}", style=_STYLES[row.verdict])


def _marks(console: Console) -> dict[str, str]:
    return MARKS if console.encoding.lower().startswith("utf") else _ASCII_MARKS


def _legend(alpha: float, console: Console) -> str:
    marks = _marks(console)
    return (
        f"  effect and verdict: {marks['holds']} the {100 * (1 - 2 * alpha):g} % interval "
        f"lies within the margin, {marks['fails']} beyond it,\n"
        f"  {marks['inconclusive']} neither, {marks['not applicable']} not applicable"
    )


def _remarks(network: Network, rows: Sequence[ConditionResult]) -> list[str]:
    """Assumptions, what was left out of the source, and what could not be tested."""
    lines = [f"assumed: {text}" for text in network.assumptions]
    reasons = Counter(skipped.reason for skipped in network.skipped)
    lines += [f"left out: {many(n, 'tensor')}: {reason}" for reason, n in reasons.most_common()]
    untested = Counter(
        (row.condition, row.reason) for row in rows if row.verdict == "not applicable"
    )
    lines += [
        f"not applicable: {condition} in {many(n, 'layer')}: {reason}"
        for (condition, reason), n in untested.most_common()
    ]
    return lines
