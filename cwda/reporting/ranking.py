"""The most severe findings first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cwda.conditions.results import ConditionResult

__all__ = ["excess", "worst"]


def excess(row: ConditionResult) -> float:
    """Effect over margin."""
    return row.effect / row.margin


def worst(rows: Sequence[ConditionResult]) -> list[ConditionResult]:
    """Rows with an effect, the farthest beyond its margin first."""
    judged = [row for row in rows if math.isfinite(row.effect)]
    return sorted(judged, key=excess, reverse=True)
