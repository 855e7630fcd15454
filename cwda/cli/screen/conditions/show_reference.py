"""How a network's layers stand among those of other networks, in a few lines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cwda.conditions.reference import UNUSUAL, Placing, placings
from cwda.conditions.results import ConditionResult
from cwda.formatting import many, percent

__all__ = ["compared", "compared_pairs"]

if TYPE_CHECKING:
    from cwda.conditions.whole.contrast_result import LayerPair

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
            f"{row.layer} (than in {percent(row.percentile)}, at least "
            f"{percent(row.percentile_low)}, of {row.comparable})"
            for row in one.unusual[:_NAMED]
        )
        more = len(one.unusual) - _NAMED
        rest = f", and {many(more, 'more layer')}" if more > 0 else ""
        lines.append(
            f"unusual {one.condition}, surely larger than in {percent(UNUSUAL)}: {named}{rest}"
        )
    lines.append(_expected(found))
    return lines


def _expected(found: Sequence[Placing]) -> str:
    """How many layers are unusual, and how many of an ordinary network would be."""
    unusual = sum(len(one.unusual) for one in found)
    places = sum(one.layers for one in found)
    expected = sum(one.expected for one in found)
    return (
        f"{unusual} of {many(places, 'effect')} {'is' if unusual == 1 else 'are'} unusual; up to "
        f"{expected:.2g} would be by chance"
    )


def compared_pairs(pairs: Sequence[LayerPair]) -> list[str]:
    """A line on the places of the layers of two networks in a reference; none without one."""
    places: dict[str, list[LayerPair]] = {}
    for pair in pairs:
        if not math.isnan(pair.percentile_a + pair.percentile_b):
            places.setdefault(pair.condition, []).append(pair)
    if not places:
        return []
    medians = ", ".join(
        f"{condition} {percent(statistics.median(one.percentile_a for one in own))} and "
        f"{percent(statistics.median(one.percentile_b for one in own))}"
        for condition, own in places.items()
    )
    return [
        f"compared with other networks, the effect in the median layer of the first and of the "
        f"second is larger than in: {medians}"
    ]
