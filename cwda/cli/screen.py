"""What `cwda-test` shows: verdict counts and layers, within 80 columns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult, ConditionCount, count_verdicts
from cwda.layers import Network

__all__ = ["show"]

#: Lines of reasons shown for what could not be tested; a file of --output has them all.
MOST_REASONS = 8

_STYLES = {"holds": "green", "fails": "red", "inconclusive": "yellow", "not applicable": "dim"}
_MARKS = {"holds": "✓", "fails": "✗", "inconclusive": "?", "not applicable": "–"}
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
    source = network.provenance
    console.print(Text(network.name, style="bold"), highlight=False)
    console.print(
        f"{_many(len(network), 'convolution')}, {_many(network.n_weights, 'weight')} "
        f"({source.format})",
        highlight=False,
    )
    console.print(_counts_table(counts))
    if layers and len(counts) == 1:
        console.print(_one_condition(rows, alpha, console))
    elif layers:
        console.print(_all_conditions(rows, counts, console))
        console.print(_legend(alpha, console), highlight=False)
    for line in _remarks(network, rows):
        console.print(f"  {line}", highlight=False, markup=False)
    console.print()


def _counts_table(counts: Sequence[ConditionCount]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("condition")
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
            f"{100 * count.weights_hold:.0f} %",
            _number(count.median_effect),
            _number(count.margin),
        )
    return table


def _all_conditions(
    rows: Sequence[ConditionResult], counts: Sequence[ConditionCount], console: Console
) -> Table:
    table = _layer_table()
    for count in counts:
        table.add_column(_SHORT[count.condition], justify="right", no_wrap=True)
    width = len(counts)
    for start in range(0, len(rows), width):
        cells = rows[start : start + width]
        table.add_row(*_layer_cells(cells[0]), *(_cell(row, console) for row in cells))
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
    table = _layer_table()
    level = f"{100 * (1 - 2 * alpha):g} % interval"
    for name in ("effect", level, "p", "p Holm"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows:
        numbers = ["", "", "", ""]
        if row.verdict != "not applicable":
            interval = f"{_number(row.effect_low)} to {_number(row.effect_high)}"
            numbers = [_number(row.effect), interval, _p(row.pvalue), _p(row.pvalue_holm)]
        table.add_row(*_layer_cells(row), *numbers, Text(row.verdict, style=_STYLES[row.verdict]))
    return table


def _layer_table() -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    table.add_column("N'", justify="right")
    table.add_column("d", justify="right")
    return table


def _layer_cells(row: ConditionResult) -> tuple[Text, str, str]:
    name = row.layer if len(row.layer) <= 22 else "…" + row.layer[-21:]
    return Text(name), str(row.n_filters), str(row.dim)


def _cell(row: ConditionResult, console: Console) -> Text:
    mark = _marks(console)[row.verdict]
    if row.verdict == "not applicable":
        return Text(mark, style="dim")
    return Text(f"{_number(row.effect)} {mark}", style=_STYLES[row.verdict])


def _marks(console: Console) -> dict[str, str]:
    return _MARKS if console.encoding.lower().startswith("utf") else _ASCII_MARKS


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
    lines += [f"left out: {_many(n, 'tensor')}: {reason}" for reason, n in reasons.most_common()]
    untested = Counter(
        (row.condition, row.reason) for row in rows if row.verdict == "not applicable"
    )
    lines += [
        f"not applicable: {condition} in {_many(n, 'layer')}: {reason}"
        for (condition, reason), n in untested.most_common()
    ]
    hidden = len(lines) - MOST_REASONS
    if hidden > 1:
        lines[MOST_REASONS:] = [f"and {hidden} remarks more; --output FILE has every row"]
    return lines


def _many(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    text = f"{value:.3f}" if value < 10 else f"{value:.3g}"
    return text.removeprefix("0") if value < 1 else text


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.3f}".removeprefix("0") if value >= 0.001 else f"{value:.0e}"
