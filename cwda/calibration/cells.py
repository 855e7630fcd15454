"""What is counted: one procedure under one design and size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cwda.calibration.designs import Size
from cwda.calibration.procedure import Truth

__all__ = ["Cell", "Counts", "Key"]

Counts = dict[str, tuple[int, int]]


@dataclass(frozen=True, order=True)
class Key:
    """One procedure under one design and size."""

    procedure: str
    design: str
    size: Size


@dataclass
class Cell:
    """What happened in the replicates of one cell.

    Attributes
    ----------
    truth : Truth
        The value that the interval is about.
    replicates : int
        Layers drawn.
    counts : dict
        By measure, how often it happened and in how many replicates it was defined.
    """

    truth: Truth
    replicates: int = 0
    counts: Counts = field(default_factory=dict)

    def add(self, replicates: int, counts: Mapping[str, tuple[int, int]]) -> None:
        """Add further replicates."""
        self.replicates += replicates
        for measure, (happened, defined) in counts.items():
            before = self.counts.get(measure, (0, 0))
            self.counts[measure] = (before[0] + happened, before[1] + defined)
