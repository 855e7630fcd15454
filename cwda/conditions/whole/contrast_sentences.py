"""What differs between two networks, in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Protocol

from cwda.formatting import listed, many, number

__all__ = ["sentences"]

#: Conditions whose effects a sentence states.
_STATED = 3


class Difference(Protocol):
    """What the sentences say of one condition."""

    @property
    def condition(self) -> str: ...
    @property
    def effect_a(self) -> float: ...
    @property
    def effect_b(self) -> float: ...
    @property
    def difference(self) -> float: ...
    @property
    def difference_low(self) -> float: ...
    @property
    def difference_high(self) -> float: ...
    @property
    def margin(self) -> float: ...
    @property
    def verdict(self) -> str: ...


def sentences(
    a: str, b: str, rows: Sequence[Difference], kept: Mapping[str, float]
) -> tuple[str, ...]:
    """What differs, what is the same and what is open; then what was compared.

    Parameters
    ----------
    a, b : str
        Names of the networks.
    rows : sequence of Difference
        One for each condition.
    kept : mapping of str to float
        Cosine between the weights of the layers that are paired; empty if none are.
    """
    by_verdict = {
        verdict: [row for row in rows if row.verdict == verdict]
        for verdict in ("differs", "same", "unsettled", "not applicable")
    }
    differing = sorted(by_verdict["differs"], key=_size, reverse=True)
    if differing:
        stated = [_stated(row) for row in differing[:_STATED]]
        if others := differing[_STATED:]:
            names = listed([row.condition for row in others])
            stated.append(f"{len(others)} more ({names})")
        answer = f"{b} differs from {a} in {listed(stated)}."
    elif by_verdict["same"] and not by_verdict["unsettled"]:
        answer = f"{b} is as {a}, within the margins, in every condition that can be compared."
    else:
        answer = f"No condition is shown to differ between {a} and {b}."
    rest = [
        f"{words}: {listed([row.condition for row in by_verdict[verdict]])}."
        for verdict, words in (
            ("same", "Same within the margin"),
            ("unsettled", "Unsettled"),
            ("not applicable", "Not compared"),
        )
        if by_verdict[verdict]
    ]
    return tuple(filter(None, (answer, " ".join(rest), _compared(kept))))


def _size(row: Difference) -> float:
    return abs(row.difference) / row.margin


def _stated(row: Difference) -> str:
    return (
        f"{row.condition} (from {number(row.effect_a)} to {number(row.effect_b)}; change "
        f"{number(row.difference)}, interval {number(row.difference_low)} to "
        f"{number(row.difference_high)})"
    )


def _compared(kept: Mapping[str, float]) -> str:
    """Which layers, and how far their weights are from one another."""
    if not kept:
        return "Their layers do not match: each network is averaged over its own."
    known = [cosine for cosine in kept.values() if not math.isnan(cosine)]
    alike = ""
    if known:
        alike = (
            f"; cosine between their weights {number(statistics.median(known))} in the median "
            f"layer, {number(min(known))} to {number(max(known))}"
        )
    return f"Compared over the {many(len(kept), 'layer')} that both have{alike}."
