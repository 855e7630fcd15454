"""The bench of a reproduction: scores and pruning experiments, kept in a folder, resumed there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from cwda.errors import CwdaError
from cwda.experiment import ExperimentResult, run_experiment
from cwda.experiment.specimen import weights_digest
from cwda.experiment.trials import DONE, Scores, Scoring, Trials
from cwda.grid import Cell, Store
from cwda.layers import Network
from cwda.progress import steps
from cwda.reproduction.schedule import Schedule, Step
from cwda.reproduction.trained import Trained
from cwda.scoring import Collected, collect, similarity
from cwda.scoring import scores as score
from cwda.scoring.registry import resolve
from cwda.typing import Device

__all__ = ["Bench", "Experiment", "LayerScoring"]

#: Images in a batch of calibration, and batches at least: halves are made of whole ones.
_BATCH, _BATCHES = 128, 8

#: By criterion and layer, one float64 score per filter.
LayerScoring = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Coefficients:
    """Rank correlations of two criteria without the noise of the images.

    Attributes
    ----------
    disattenuated : mapping of str to float
        By layer, where it is defined.
    """

    disattenuated: Mapping[str, float]


@dataclass(frozen=True)
class Comparing(Cell[Coefficients]):
    """Two criteria that are compared."""

    criterion_a: str
    criterion_b: str

    record = Coefficients


@dataclass(frozen=True, eq=False)
class Experiment:
    """The pruning experiment of one network, as far as it was run.

    Attributes
    ----------
    trained : Trained
        The network.
    step : Step
        The last step that was done.
    result : ExperimentResult
        Its accuracies.
    """

    trained: Trained
    step: Step
    result: ExperimentResult


@dataclass(eq=False)
class Bench:
    """What the parts of a reproduction share.

    Attributes
    ----------
    trained : sequence of Trained
        The networks.
    schedule : Schedule
        How much is run.
    folder : Path
        Keeps scores and experiments.
    until : float
        When no further step is begun, on the clock of `time.monotonic`.
    device : str or torch.device
        Where to compute.
    """

    trained: Sequence[Trained]
    schedule: Schedule
    folder: Path
    until: float
    device: Device = "auto"
    _experiments: list[Experiment] | None = field(default=None, repr=False)

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks' weights."""
        return tuple(one.network for one in self.trained)

    def runnable(self) -> list[Trained]:
        """The networks that can be run on images.

        Raises
        ------
        CwdaError
            If there is none, with the reasons.
        """
        able = [one for one in self.trained if one.data is not None]
        if not able:
            reasons = "; ".join(f"{one.name}: {one.reason}" for one in self.trained)
            raise CwdaError(f"no network can be run on images ({reasons})")
        return able

    def samples(self, one: Trained) -> int:
        """Number of images that criteria from data are scored on."""
        return min(self.schedule.samples, len(one.data.train)) if one.data else 0

    def scores(self, one: Trained, criteria: Sequence[str]) -> LayerScoring:
        """Scores of all convolutions; layers that a criterion cannot score are left out.

        Those of a network that runs are kept in the folder.
        """
        if one.model is None:
            return _by_layer(one, criteria)
        store = self._store(one)
        missing = [name for name in criteria if Scoring(name, 0) not in store]
        if missing:
            seen = self._collected(one, missing)
            found = score(one.model, missing, data=seen, device=self.device).table
            for name, rows in found.groupby("criterion", sort=False):
                defined = rows[rows["reason"] == ""].groupby("layer", sort=False)
                undefined = rows[rows["reason"] != ""].groupby("layer", sort=False)
                kept = {str(layer): tuple(group["score"]) for layer, group in defined}
                reasons = {str(layer): group["reason"].iloc[0] for layer, group in undefined}
                store.keep(Scoring(str(name), 0), Scores(kept, reasons))
        return {
            name: {layer: _float64(row) for layer, row in store[Scoring(name, 0)].scores.items()}
            for name in criteria
        }

    def without_noise(
        self, one: Trained, pairs: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Mapping[str, float]]:
        """By pair and layer, `disattenuated` of `cwda.similarity`; kept in the folder."""
        assert one.model is not None
        store = self._store(one)
        missing = [pair for pair in pairs if Comparing(*pair) not in store]
        if missing:
            criteria = list(dict.fromkeys(name for pair in missing for name in pair))
            seen = self._collected(one, criteria)
            for pair in missing:
                found = similarity(one.model, pair, ratios=0.5, data=seen, device=self.device).table
                found = found[found["disattenuated"].notna()]
                values = dict(zip(found["layer"], found["disattenuated"], strict=True))
                store.keep(Comparing(*pair), Coefficients(values))
        return {pair: store[Comparing(*pair)].disattenuated for pair in pairs}

    def _store(self, one: Trained) -> Store:
        """What is kept of the scores of a network that runs."""
        assert one.model is not None
        claim = {"weights": weights_digest(one.model), "samples": self.samples(one)}
        if one.data:
            claim["data"] = one.data.sha256
        return Store(self.folder / "scores" / f"{_file_name(one)}.jsonl", "scores", claim)

    def _collected(self, one: Trained, criteria: Sequence[str]) -> Collected | None:
        """What the criteria need beyond the weights, in one pass over the images."""
        assert one.model is not None
        needs = frozenset[str]().union(*(each.needs for each in resolve(criteria)))
        if not needs:
            return None
        images = one.data.train.sample(self.samples(one)) if one.data else None
        batch = max(min(_BATCH, self.samples(one) // _BATCHES), 1)
        return collect(one.model, needs, data=images, batch_size=batch, device=self.device)

    def experiments(self, strategy: str, scope: str) -> list[Experiment]:
        """The experiments of this strategy and scope, after all that the time allows.

        Raises
        ------
        CwdaError
            If no network can be run on images.
        """
        if self._experiments is None:
            self._experiments = self._run_all()
        wanted = strategy, scope
        return [one for one in self._experiments if (one.step.strategy, one.step.scope) == wanted]

    def _run_all(self) -> list[Experiment]:
        """Step by step, network by network; no step is begun when the time is over."""
        reached: dict[tuple[str, str, str], tuple[Trained, Step]] = {}
        work = [(step, one) for step in self.schedule.steps for one in self.runnable()]
        for step, one in steps(work, "pruning experiments"):
            if not self._is_done(one, step):
                if time.monotonic() >= self.until:
                    continue
                self._run(one, step)
            reached[one.name, step.strategy, step.scope] = one, step
        return [Experiment(one, step, self._run(one, step)) for one, step in reached.values()]

    def _run(self, one: Trained, step: Step) -> ExperimentResult:
        assert one.model is not None
        assert one.data is not None
        schedule = self.schedule
        return run_experiment(
            one.model,
            one.data,
            schedule.criteria,
            ratios=step.ratios,
            strategies=step.strategy,
            finetuning=schedule.finetuning if step.finetune_at else None,
            finetune_at=step.finetune_at or None,
            scope=step.scope,
            precision="mixed",
            samples=schedule.samples,
            subset=schedule.images,
            folder=self._place(one, step),
            name=one.name,
            device=self.device,
        )

    def _is_done(self, one: Trained, step: Step) -> bool:
        path = self._place(one, step) / DONE
        if not path.exists():
            return False
        trials = Trials(
            self.schedule.criteria, step.ratios, (step.strategy,), range(1), step.finetune_at
        )
        store = Store.of(path, "experiment")
        return all(trial in store for trial in trials)

    def _place(self, one: Trained, step: Step) -> Path:
        return self.folder / "experiments" / f"{_file_name(one)}-{step.scope}"


def _file_name(one: Trained) -> str:
    return one.name.replace("/", "-").replace(":", "-")


def _by_layer(one: Trained, criteria: Sequence[str]) -> LayerScoring:
    """Scores from weights alone."""
    found = score(one.network, criteria).table
    found = found[found["reason"] == ""]
    return {
        name: {
            str(layer): _float64(rows["score"])
            for layer, rows in found[found["criterion"] == name].groupby("layer", sort=False)
        }
        for name in criteria
    }


def _float64(values: object) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)  # type: ignore[call-overload]
