"""The most severe findings first, and the reasons where there are none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from cwda.conditions.results import ConditionResult
from cwda.formatting import many

__all__ = ["excess", "untested", "worst"]


def excess(row: ConditionResult) -> float:
    """Effect over margin."""
    return row.effect / row.margin


def worst(rows: Sequence[ConditionResult]) -> list[ConditionResult]:
    """Rows with an effect, the farthest beyond its margin first."""
    judged = [row for row in rows if math.isfinite(row.effect)]
    return sorted(judged, key=excess, reverse=True)


def untested(rows: Sequence[ConditionResult]) -> list[str]:
    """Why rows are not applicable, each reason with the number of its layers, most first."""
    counts = Counter(row.reason for row in rows if row.verdict == "not applicable")
    return [f"{many(n, 'layer')}: {reason}" for reason, n in counts.most_common()]
