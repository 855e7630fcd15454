"""The bench on which the trials of one experiment are measured, one after the other."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cwda.errors import SelectionError
from cwda.experiment.finetune import FineTuning, fine_tune
from cwda.experiment.result import Accuracy
from cwda.experiment.specimen import Specimen
from cwda.experiment.trials import Outcome, Scores, Scoring, Trial, Trials
from cwda.files import whole_file
from cwda.grid import Store, run
from cwda.models.data import Images
from cwda.pruning.masks import Masks
from cwda.pruning.plan import Plan
from cwda.pruning.planning import make_plan
from cwda.tracing.copies import duplicate

__all__ = ["Bench"]

# A training step costs about three forward passes.
_TRAINING = 3


@dataclass(eq=False)
class Bench:
    """What the trials of one experiment share.

    Attributes
    ----------
    network : str
        Its name in tables.
    specimen : Specimen
        The network, with the images it is tested on.
    folder : Path
        Keeps plans, and the last good epoch of each fine-tuning.
    store : Store
        Keeps what is done.
    train : Images
        Calibration images are drawn from these.
    samples : int
        Number of calibration images.
    finetune_on : Images
        Images for fine-tuning.
    finetuning : FineTuning or None
        Its schedule.
    """

    network: str
    specimen: Specimen
    folder: Path
    store: Store
    train: Images
    samples: int
    finetune_on: Images
    finetuning: FineTuning | None
    #: Accuracies by digest of the selection: equal selections are measured once.
    _measured: dict[str, float] = field(default_factory=dict)

    def measure(self, trials: Trials) -> list[Accuracy]:
        """The rows of all trials: those of earlier runs are read, the others measured."""
        for trial, outcome in self.store.all(Trial):
            if trial.stage == "pruned" and not outcome.row.reason:
                self._measured[outcome.selection] = outcome.row.accuracy
        run(
            trials,
            lambda trial: self._timed(trial, trials.criteria),
            store=self.store,
            what="experiment",
            size=self._images,
        )
        return [self.store[trial].row for trial in trials]

    def scores(self, criteria: Sequence[str], seed: int) -> dict[str, Scores]:
        """Scores by criterion with one seed: kept ones, or new ones from one pass."""
        missing = [name for name in criteria if Scoring(name, seed) not in self.store]
        if missing:
            calibration = self.train.sample(min(self.samples, len(self.train)), seed)
            for name, scores in self.specimen.scores(missing, calibration, seed).items():
                self.store.keep(Scoring(name, seed), scores)
        return {name: self.store[Scoring(name, seed)] for name in criteria}

    def plan(self, trial: Trial, criteria: Sequence[str] = ()) -> Plan | str:
        """The plan of a trial, or why there is none."""
        scored = self.scores(criteria or [trial.criterion], trial.seed)[trial.criterion]
        scores = {layer: np.array(row) for layer, row in scored.scores.items()}
        try:
            return make_plan(
                self.specimen.model,
                scores,
                trial.ratio,
                self.specimen.coupling,
                strategy=trial.strategy,  # type: ignore[arg-type]
                label=trial.criterion,
            )
        except SelectionError as error:
            return next(iter(scored.reasons.values()), str(error))

    def _timed(self, trial: Trial, criteria: Sequence[str]) -> Outcome:
        start = time.perf_counter()
        outcome = self._outcome(trial, criteria)
        seconds = round(time.perf_counter() - start, 3)
        return replace(outcome, row=replace(outcome.row, seconds=seconds))

    def _outcome(self, trial: Trial, criteria: Sequence[str]) -> Outcome:
        specimen, row = self.specimen, self._row(trial)
        if trial.stage == "unpruned":
            return Outcome(self._with_accuracy(row, specimen.accuracy(specimen.model)), "")
        plan = self.plan(trial, criteria)
        if isinstance(plan, str):
            return Outcome(replace(row, reason=plan), "")
        self._keep(plan, trial)
        row, selection = _with_sizes(row, plan), _digest(plan)
        if trial.stage == "finetuned":
            return Outcome(self._finetuned(trial, plan, row), selection)
        if selection not in self._measured:
            with Masks(specimen.model, plan, specimen.coupling):
                self._measured[selection] = specimen.accuracy(specimen.model)
        return Outcome(self._with_accuracy(row, self._measured[selection]), selection)

    def _finetuned(self, trial: Trial, plan: Plan, row: Accuracy) -> Accuracy:
        assert self.finetuning is not None
        model = duplicate(self.specimen.model)
        checkpoint = self.folder / "checkpoints" / f"{trial}.pt"
        checkpoint.parent.mkdir(exist_ok=True)
        tuned = fine_tune(
            model,
            Masks(model, plan, self.specimen.coupling),
            self.finetune_on,
            self.finetuning,
            checkpoint=checkpoint,
            seed=trial.seed,
        )
        row = replace(row, epochs=tuned.epochs, loss=tuned.loss, reason=tuned.reason)
        return self._with_accuracy(row, self.specimen.accuracy(model))

    def _keep(self, plan: Plan, trial: Trial) -> None:
        """Keep a plan, for `Plan.load`."""
        path = self.folder / "plans" / f"{trial.selection}.json"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            with whole_file(path) as partial:
                partial.write_text(plan.to_json() + "\n", encoding="utf-8")

    def _row(self, trial: Trial) -> Accuracy:
        cost = self.specimen.coupling.cost
        return Accuracy(
            network=self.network,
            strategy=trial.strategy,
            criterion=trial.criterion,
            ratio=trial.ratio,
            seed=trial.seed,
            stage=trial.stage,
            accuracy=math.nan,
            accuracy_se=math.nan,
            images=len(self.specimen.test),
            filters_pruned=0,
            filters=0,
            parameters=cost.parameters,
            flops=cost.flops,
            epochs=0,
            loss=math.nan,
            seconds=0.0,
            reason="",
        )

    def _with_accuracy(self, row: Accuracy, percent: float) -> Accuracy:
        share = percent / 100
        error = 100 * math.sqrt(share * (1 - share) / len(self.specimen.test))
        return replace(row, accuracy=percent, accuracy_se=error)

    def _images(self, trial: Trial) -> int:
        """Work of a trial, in forward passes of an image."""
        trained = self.finetuning.epochs * len(self.finetune_on) if self.finetuning else 0
        return len(self.specimen.test) + _TRAINING * trained * (trial.stage == "finetuned")


def _with_sizes(row: Accuracy, plan: Plan) -> Accuracy:
    assert plan.after is not None
    return replace(
        row,
        filters_pruned=sum(map(len, plan.pruned.values())),
        filters=sum(plan.n_filters.values()),
        parameters=plan.after.parameters,
        flops=plan.after.flops,
    )


def _digest(plan: Plan) -> str:
    """What tells selections apart."""
    pruned = {layer: sorted(indices) for layer, indices in plan.pruned.items()}
    return hashlib.sha256(json.dumps(pruned, sort_keys=True).encode()).hexdigest()[:16]
