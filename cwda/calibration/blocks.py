"""The cells of a calibration: blocks of replicates, and what is counted in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cwda.brief import brief
from cwda.calibration.laws import Size
from cwda.calibration.procedure import Truth
from cwda.grid import Cell, Store

__all__ = ["Block", "Case", "Counts", "Population", "Tallies", "Tally", "Truths", "tallies"]

#: By measure, how often it happened and in how many replicates it was defined.
Counts = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, order=True)
class Case:
    """One procedure under one design and size."""

    procedure: str
    design: str
    size: Size


@dataclass(frozen=True)
class Truths:
    """True effects by condition, measured on many filters."""

    truths: Mapping[str, Truth]

    __repr__ = brief


@dataclass(frozen=True)
class Population(Cell[Truths]):
    """Very many filters of one law and shape, for the true effects without a closed form."""

    design: str
    channels: int
    kernel_size: int
    conditions: tuple[str, ...]

    record = Truths

    def __str__(self) -> str:
        return f"{self.design}, truth at {self.channels}x{self.kernel_size}"


@dataclass(frozen=True)
class Tally:
    """What happened in some replicates of one case.

    Attributes
    ----------
    truth : Truth
        The value that the interval is about.
    replicates : int
        Layers drawn.
    counts : mapping
        By measure, how often it happened and in how many replicates it was defined.
    """

    truth: Truth
    replicates: int
    counts: Counts

    def __add__(self, further: Tally) -> Tally:
        counts = dict(self.counts)
        for measure, (happened, defined) in further.counts.items():
            before = counts.get(measure, (0, 0))
            counts[measure] = (before[0] + happened, before[1] + defined)
        return Tally(self.truth, self.replicates + further.replicates, counts)


@dataclass(frozen=True)
class Tallies:
    """Tallies by procedure."""

    tallies: Mapping[str, Tally]

    __repr__ = brief


@dataclass(frozen=True)
class Block(Cell[Tallies]):
    """The replicates from `start` to `stop` of the procedures that share a design and size."""

    design: str
    size: Size
    procedures: tuple[str, ...]
    start: int
    stop: int

    record = Tallies

    def __str__(self) -> str:
        return f"{self.design}, {self.size}"


def tallies(store: Store) -> dict[Case, Tally]:
    """What has been counted so far, over all blocks of each case."""
    totals: dict[Case, Tally] = {}
    for block, record in store.all(Block):
        for procedure, tally in record.tallies.items():
            case = Case(procedure, block.design, block.size)
            totals[case] = totals[case] + tally if case in totals else tally
    return totals
