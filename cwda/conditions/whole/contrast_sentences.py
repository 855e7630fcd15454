"""What differs between two networks, in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cwda.formatting import every, listed, many, number, percent

__all__ = ["Compared", "sentences"]

#: An answer about less than this share of a network's weights says so before anything else.
_MOST = 0.9

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
    def weights_a(self) -> float: ...
    @property
    def weights_b(self) -> float: ...
    @property
    def verdict(self) -> str: ...


@dataclass(frozen=True)
class Compared:
    """The layers that two networks share.

    Attributes
    ----------
    cosines : tuple of float
        Cosine between the weights of each pair of layers; empty if none are paired.
    by_order, same : int
        Number of pairs whose names do not agree, and of those with the same weights.
    layers : tuple of int
        Number of layers of each network.
    shares : tuple of float
        Share of the weights of each network that lies in the paired layers.
    """

    cosines: tuple[float, ...]
    by_order: int
    same: int
    layers: tuple[int, int]
    shares: tuple[float, float]


def sentences(a: str, b: str, rows: Sequence[Difference], compared: Compared) -> tuple[str, ...]:
    """What differs, what is the same and what is open; then what was compared.

    Parameters
    ----------
    a, b : str
        Names of the networks.
    rows : sequence of Difference
        One for each condition.
    compared : Compared
        The layers that both have.
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
    if compared.cosines and min(compared.shares) < _MOST:
        within = f"In the layers that both have ({_weights(a, b, compared.shares)})"
        answer = f"{within}, {answer.replace('No condition', 'no condition', 1)}"
    rest = [
        f"{words}: {listed([row.condition for row in by_verdict[verdict]])}."
        for verdict, words in (
            ("same", "Same within the margin"),
            ("unsettled", "Unsettled"),
            ("not applicable", "Not compared"),
        )
        if by_verdict[verdict]
    ]
    return tuple(filter(None, (answer, " ".join(rest), _compared(a, b, rows, compared))))


def _size(row: Difference) -> float:
    return abs(row.difference) / row.margin


def _stated(row: Difference) -> str:
    return (
        f"{row.condition} (from {number(row.effect_a)} to {number(row.effect_b)}; change "
        f"{number(row.difference)}, interval {number(row.difference_low)} to "
        f"{number(row.difference_high)})"
    )


def _compared(a: str, b: str, rows: Sequence[Difference], compared: Compared) -> str:
    """Which layers, how many of the weights, and how far these are from one another."""
    if not compared.cosines:
        whole = "Their layers do not match: each network is averaged over its own"
        return f"{whole}{_fewer(rows, (1.0, 1.0))}."
    count, known = len(compared.cosines), [x for x in compared.cosines if not math.isnan(x)]
    parts = [f"Compared over {_layers(a, b, compared)}{_fewer(rows, compared.shares)}"]
    if compared.by_order:
        paired = "all" if compared.by_order == count else f"{compared.by_order} of {count}"
        parts.append(f"{paired} paired by their order, as their names differ")
    if compared.same:
        same = "all" if compared.same == count else f"{compared.same} of {count}"
        parts.append(f"{same} with the same weights")
    if known and compared.same < count:
        parts.append(
            f"cosine between their weights {number(statistics.median(known))} in the median "
            f"layer, {number(min(known))} to {number(max(known))}"
        )
    return f"{'; '.join(parts)}."


def _layers(a: str, b: str, compared: Compared) -> str:
    count = len(compared.cosines)
    if set(compared.layers) == {count}:
        return every(count, "layer") if count > 1 else "the only layer"
    told = f"the {many(count, 'layer')} that both have" if count > 1 else "the layer that both have"
    of = f"of {compared.layers[0]} and {compared.layers[1]}"
    return f"{told}, {of}, with {_weights(a, b, compared.shares)}"


def _weights(a: str, b: str, shares: tuple[float, float]) -> str:
    first, second = map(percent, shares)
    if first == second:
        return f"{first} of the weights of either"
    return f"{first} of the weights of {a}, {second} of those of {b}"


def _fewer(rows: Sequence[Difference], shares: tuple[float, float]) -> str:
    """The conditions that judge clearly less than these shares of the weights."""
    told = []
    for row in rows:
        own = row.weights_a, row.weights_b
        fewer = any(x < _MOST * share for x, share in zip(own, shares, strict=True))
        if row.verdict != "not applicable" and fewer:
            told.append(f"{row.condition} {' and '.join(dict.fromkeys(map(percent, own)))}")
    return f" (over fewer: {', '.join(told)})" if told else ""
