"""What `cwda-test --textbook` shows: how many layers pass each test, and why that misleads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.screen.reasons import Told, by_reason
from cwda.cli.screen.table import Column, Table
from cwda.formatting import percent
from cwda.textbook_tests import MOST_SAMPLES, TextbookCount, TextbookResult, TextbookRow
from cwda.textbook_tests.result import count_passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cwda.cli.screen.screen import Screen

__all__ = ["show_textbook"]


def show_textbook(result: TextbookResult, screen: Screen) -> None:
    """Print the counts of each network, then what each test cannot say, once."""
    counts = count_passes(result)
    for network in result.networks:
        own = [count for count in counts if count.network == network.name]
        screen.line(f"Textbook tests of {network.name}", "bold")
        screen.table(_table(own), "; ".join(_legend(1 - result.level)))
        screen.remarks(_untested([row for row in result if row.network == network.name]))
        screen.line()
    screen.line("Why they mislead here", "bold")
    for test in {count.test: count for count in counts}.values():
        screen.remark(f"{test.test} ({test.function}): {test.misleads}")
    screen.line()


def _table(counts: Sequence[TextbookCount]) -> Table:
    heads = [
        Column("pass"),
        Column("of"),
        Column("Holm", spare=True),
        Column("BH", spare=True),
        Column("n/a", style="dim"),
        Column("share", spare=True),
    ]
    table = Table([Column("test", right=False), *heads], gap=2)
    for count in counts:
        numbers = ["", "", "", ""]
        if count.layers:
            adjusted = [str(count.passes_holm), str(count.passes_bh)]
            numbers = [str(count.passes), str(count.layers), *adjusted]
        share = percent(count.share_passing) if count.share_passing == count.share_passing else ""
        table.add(count.test, *numbers, str(count.not_applicable), share)
    return table


def _untested(rows: Sequence[TextbookRow]) -> list[str]:
    """Why tests give nothing, each reason once for the same layers."""
    told = [Told(row.test, row.layer, row.reason) for row in rows if row.passes is None]
    lines = by_reason(told, whole={row.test for row in rows}, every="all tests")
    return [f"n/a: {line}" for line in lines]


def _legend(alpha: float) -> list[str]:
    level = f"{alpha:.4g}".removeprefix("0")
    return [
        f"pass: layers with p > {level} (TOST: p <= {level})",
        "Holm, BH: with p adjusted over the layers",
        "share: of the positions, filters, channels or pairs of the median layer, each with "
        f"p > {level} for itself",
        f"at most {MOST_SAMPLES} of a layer are tested, and p of the layer is their number times "
        "the smallest",
    ]
