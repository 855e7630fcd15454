"""The cells of an experiment: what is measured once, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cwda.brief import brief
from cwda.errors import CwdaError
from cwda.experiment.result import Accuracy
from cwda.grid import Cell
from cwda.scoring.registry import resolve

__all__ = ["BASELINE", "DONE", "Outcome", "Scores", "Scoring", "Trial", "Trials"]

#: The file of an experiment's folder that says what is done.
DONE = "trials.jsonl"


@dataclass(frozen=True)
class Scores:
    """What a criterion gives to the filters that may be pruned.

    Attributes
    ----------
    scores : mapping of str to tuple of float
        By layer, one score per filter.
    reasons : mapping of str to str
        By layer, why it has none.
    """

    scores: Mapping[str, tuple[float, ...]]
    reasons: Mapping[str, str]

    __repr__ = brief


@dataclass(frozen=True)
class Scoring(Cell[Scores]):
    """The scores of one criterion with one seed."""

    criterion: str
    seed: int

    record = Scores


@dataclass(frozen=True)
class Outcome:
    """A row of the table, with a digest of the filters that were pruned."""

    row: Accuracy
    selection: str


@dataclass(frozen=True)
class Trial(Cell[Outcome]):
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

    record = Outcome

    @property
    def selection(self) -> str:
        """Name of the plan, a part of a file name."""
        return f"{self.strategy}-{quote(self.criterion, safe='')}-{self.ratio:g}-seed{self.seed}"

    def __str__(self) -> str:
        return f"{self.selection}-{self.stage}"


#: The network as it is given.
BASELINE = Trial("none", "none", 0.0, 0, "unpruned")


@dataclass(frozen=True)
class Trials:
    """All combinations that an experiment measures."""

    criteria: tuple[str, ...]
    ratios: tuple[float, ...]
    strategies: tuple[str, ...]
    seeds: range
    finetune_at: tuple[float, ...]

    def __post_init__(self) -> None:
        resolve(self.criteria)
        for what, values in (("ratio", self.ratios), ("strategy", self.strategies)):
            if not values or len({*values}) < len(values):
                raise CwdaError(f"give each {what} once, and at least one, not {values}")
        for ratio in self.finetune_at:
            if ratio not in self.ratios:
                ratios = ", ".join(f"{each:g}" for each in self.ratios)
                raise CwdaError(f"fine-tuning at {ratio:g}, but the ratios are {ratios}")

    def __iter__(self) -> Iterator[Trial]:
        """Cheap ones first, and whole seeds, so that an interrupted run is of most use."""
        yield BASELINE
        for stage, ratios in (("pruned", self.ratios), ("finetuned", self.finetune_at)):
            for seed in self.seeds:
                for selection in self._selections(ratios):
                    yield Trial(*selection, seed, stage)

    def _selections(self, ratios: Sequence[float]) -> Iterator[tuple[str, str, float]]:
        for ratio in ratios:
            for strategy in self.strategies:
                for criterion in self.criteria:
                    yield strategy, criterion, ratio
