"""The cells of an experiment: what is measured once, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cwda.arguments import require_count
from cwda.errors import CwdaError
from cwda.scoring.registry import resolve

__all__ = ["BASELINE", "Cell", "Grid"]


@dataclass(frozen=True)
class Cell:
    """One network whose accuracy is measured.

    Attributes
    ----------
    strategy, criterion : str
        How filters were selected.
    ratio : float
        Share of filters pruned.
    seed : int
        Seed of calibration images, random scores and fine-tuning.
    stage : {"unpruned", "pruned", "finetuned"}
        When the accuracy is measured.
    """

    strategy: str
    criterion: str
    ratio: float
    seed: int
    stage: str

    @property
    def selection(self) -> str:
        """Name of the plan, a part of a file name."""
        return f"{self.strategy}-{quote(self.criterion, safe='')}-{self.ratio:g}-seed{self.seed}"

    @property
    def name(self) -> str:
        """Name of the cell, a part of a file name."""
        return f"{self.selection}-{self.stage}"


#: The network as it is given.
BASELINE = Cell("none", "none", 0.0, 0, "unpruned")


@dataclass(frozen=True)
class Grid:
    """All combinations that an experiment measures."""

    criteria: tuple[str, ...]
    ratios: tuple[float, ...]
    strategies: tuple[str, ...]
    seeds: int
    finetune_at: tuple[float, ...]

    def __post_init__(self) -> None:
        resolve(self.criteria)
        for what, values in (("ratio", self.ratios), ("strategy", self.strategies)):
            if not values or len({*values}) < len(values):
                raise CwdaError(f"give each {what} once, and at least one, not {values}")
        require_count(self.seeds, 1, "seeds, how many there are,", CwdaError)
        for ratio in self.finetune_at:
            if ratio not in self.ratios:
                there = ", ".join(f"{each:g}" for each in self.ratios)
                raise CwdaError(f"fine-tuning at {ratio:g}, but the ratios are {there}")

    def cells(self) -> Iterator[Cell]:
        """Cheap ones first, and whole seeds, so that an interrupted run is of most use."""
        yield BASELINE
        for stage, ratios in (("pruned", self.ratios), ("finetuned", self.finetune_at)):
            for seed in range(self.seeds):
                for selected in self._selections(ratios):
                    yield Cell(*selected, seed, stage)

    def _selections(self, ratios: Sequence[float]) -> Iterator[tuple[str, str, float]]:
        for ratio in ratios:
            for strategy in self.strategies:
                for criterion in self.criteria:
                    yield strategy, criterion, ratio
