"""What `cwda invariances` shows: criteria by changes of the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cwda.cli.screen.table import Column, Table
from cwda.formatting import number
from cwda.scoring.gauges import GAUGES

if TYPE_CHECKING:
    from cwda.cli.screen.screen import Screen
    from cwda.scoring import InvarianceResult

__all__ = ["show_invariances"]


def show_invariances(result: InvarianceResult, screen: Screen) -> None:
    """Print how each criterion ranks the filters of one network after each change."""
    table = Table([Column("criterion"), *(Column(gauge) for gauge in GAUGES)], gap=2)
    found = {(row.criterion, row.transformation): row for row in result}
    for criterion in dict.fromkeys(row.criterion for row in result):
        table.add(criterion, *(number(found[criterion, gauge].spearman) for gauge in GAUGES))
    screen.table(
        table,
        "Spearman's rank correlation of a layer's scores before and after, mean over the layers; "
        "1 if a change that the network does not notice leaves the ranking alone",
    )
    changes = [row.output_change for row in result if not math.isnan(row.output_change)]
    if changes:
        screen.remark(f"outputs changed by {max(changes):.0e} of the largest at most")
    screen.remarks(list(dict.fromkeys(row.reason for row in result if row.reason)))
