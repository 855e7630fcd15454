"""How a network's layers stand among those of other networks, in a few lines."""

from __future__ import annotations

from collections.abc import Sequence

from cwda.conditions.reference import UNUSUAL, placings
from cwda.conditions.results import ConditionResult
from cwda.formatting import many, percent

__all__ = ["compared"]

#: Unusual layers that are named for each condition.
_NAMED = 2


def compared(rows: Sequence[ConditionResult]) -> list[str]:
    """Lines on the place of the layers in a reference; none without one."""
    found = placings(rows)
    if not found:
        return []
    medians = ", ".join(f"{one.condition} {percent(one.median)}" for one in found)
    lines = [
        f"compared with other networks, the median layer's effect is larger than in: {medians}"
    ]
    for one in found:
        if not one.unusual:
            continue
        named = ", ".join(
            f"{row.layer} (than in {percent(row.percentile)} of {row.comparable})"
            for row in one.unusual[:_NAMED]
        )
        more = len(one.unusual) - _NAMED
        rest = f", and {many(more, 'more layer')}" if more > 0 else ""
        lines.append(
            f"unusual {one.condition}, larger than in {percent(UNUSUAL)} or more: {named}{rest}"
        )
    return lines
