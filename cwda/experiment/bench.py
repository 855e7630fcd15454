"""The bench on which the cells of one run are measured, one after the other."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from cwda.errors import SelectionError
from cwda.experiment.cells import Cell, Grid
from cwda.experiment.finetune import FineTuning, fine_tune
from cwda.experiment.store import Store
from cwda.experiment.subject import Scores, Subject
from cwda.models.data import Images
from cwda.pruning.masks import Masks
from cwda.pruning.plan import Plan
from cwda.pruning.planning import make_plan

__all__ = ["Bench", "OnProgress"]

#: Told images done, images to do in all, and what is being done.
OnProgress = Callable[[float, float, str], None]

# A training step costs about three forward passes.
_TRAINING = 3


@dataclass(eq=False)
class Bench:
    """What the cells of one run share.

    Attributes
    ----------
    network : str
        Its name in tables.
    subject : Subject
        The network, with the images it is tested on.
    store : Store
        Keeps what is done.
    train : Images
        Calibration images are drawn from these.
    samples : int
        How many.
    finetune_on : Images
        Images of fine-tuning.
    how : FineTuning or None
        Its schedule.
    """

    network: str
    subject: Subject
    store: Store
    train: Images
    samples: int
    finetune_on: Images
    how: FineTuning | None
    #: Accuracies by digest of the selection: equal selections are measured once.
    known: dict[str, float] = field(default_factory=dict)
    _scores: dict[str, Scores] = field(default_factory=dict)

    def all(self, grid: Grid, on_progress: OnProgress | None) -> list[dict[str, Any]]:
        """The records of all cells, those of earlier runs first read, then the rest measured."""
        records = {cell: self.store.record(cell) for cell in grid.cells()}
        for record in filter(None, records.values()):
            if record["stage"] == "pruned" and not record["reason"]:
                self.known[record["selection"]] = record["accuracy"]
        missing = [cell for cell, record in records.items() if record is None]
        progress = _Progress(sum(map(self._images, missing)), on_progress)
        for cell in missing:
            progress.begin(cell.name)
            start = time.perf_counter()
            record = self._measure(cell, grid.criteria, progress.advance)
            record["seconds"] = round(time.perf_counter() - start, 3)
            records[cell] = record
            self.store.keep_record(cell, record)
            progress.end(self._images(cell))
        return [record for record in records.values() if record]

    def scores(self, criteria: Sequence[str], seed: int) -> dict[str, Scores]:
        """Scores by criterion with one seed: kept ones, or new ones from one pass."""
        names = {each: f"{quote(each, safe='')}-seed{seed}" for each in criteria}
        for each in criteria:
            kept = None if names[each] in self._scores else self.store.scores(names[each])
            if kept is not None:
                self._scores[names[each]] = kept
        missing = [each for each in criteria if names[each] not in self._scores]
        if missing:
            calibration = self.train.sample(min(self.samples, len(self.train)), seed)
            for each, scores in self.subject.scores(missing, calibration, seed).items():
                self.store.keep_scores(names[each], {"criterion": each, **scores})
                self._scores[names[each]] = scores
        return {each: self._scores[names[each]] for each in criteria}

    def plan(self, cell: Cell, criteria: Sequence[str] = ()) -> Plan | str:
        """The plan of a cell, or why there is none."""
        scores = self.scores(criteria or [cell.criterion], cell.seed)[cell.criterion]
        given = {layer: np.array(row) for layer, row in scores["scores"].items()}
        try:
            return make_plan(
                self.subject.model,
                given,
                cell.ratio,
                self.subject.coupling,
                strategy=cell.strategy,  # type: ignore[arg-type]
                label=cell.criterion,
            )
        except SelectionError as error:
            return next(iter(scores["reasons"].values()), str(error))

    def _measure(
        self, cell: Cell, criteria: Sequence[str], on_images: Callable[[float], None]
    ) -> dict[str, Any]:
        subject, record = self.subject, self._record(cell)
        if cell.stage == "unpruned":
            return record | self._accuracy(subject.accuracy(subject.model, on_images))
        plan = self.plan(cell, criteria)
        if isinstance(plan, str):
            return record | {"reason": plan}
        self.store.keep_plan(cell, plan)
        record |= _sizes(plan)
        if cell.stage == "pruned":
            digest = record["selection"]
            if digest not in self.known:
                with Masks(subject.model, plan, subject.coupling):
                    self.known[digest] = subject.accuracy(subject.model, on_images)
            return record | self._accuracy(self.known[digest])
        return record | self._finetuned(cell, plan, on_images)

    def _finetuned(
        self, cell: Cell, plan: Plan, on_images: Callable[[float], None]
    ) -> dict[str, Any]:
        assert self.how is not None
        model = copy.deepcopy(self.subject.model)
        found = fine_tune(
            model,
            Masks(model, plan, self.subject.coupling),
            self.finetune_on,
            self.how,
            cell.seed,
            self.store.checkpoint(cell),
            lambda n: on_images(_TRAINING * n),
        )
        loss = None if math.isnan(found.loss) else found.loss
        done = {"epochs": found.epochs, "loss": loss, "reason": found.reason}
        return done | self._accuracy(self.subject.accuracy(model, on_images))

    def _record(self, cell: Cell) -> dict[str, Any]:
        cost = self.subject.coupling.cost
        return {
            "network": self.network,
            **asdict(cell),
            "accuracy": None,
            "accuracy_se": None,
            "images": len(self.subject.test),
            "filters_pruned": 0,
            "filters": 0,
            "parameters": cost.parameters,
            "flops": cost.flops,
            "epochs": 0,
            "loss": None,
            "seconds": 0.0,
            "reason": "",
            "selection": "",
        }

    def _accuracy(self, percent: float) -> dict[str, Any]:
        share = percent / 100
        error = 100 * math.sqrt(share * (1 - share) / len(self.subject.test))
        return {"accuracy": percent, "accuracy_se": error}

    def _images(self, cell: Cell) -> int:
        """Work of a cell, in forward passes of an image."""
        trained = self.how.epochs * len(self.finetune_on) if self.how else 0
        return len(self.subject.test) + _TRAINING * trained * (cell.stage == "finetuned")


def _sizes(plan: Plan) -> dict[str, Any]:
    assert plan.after is not None
    pruned = {layer: sorted(indices) for layer, indices in plan.pruned.items()}
    digest = hashlib.sha256(json.dumps(pruned, sort_keys=True).encode()).hexdigest()
    return {
        "filters_pruned": sum(map(len, pruned.values())),
        "filters": sum(plan.n_filters.values()),
        "parameters": plan.after.parameters,
        "flops": plan.after.flops,
        "selection": digest[:16],
    }


class _Progress:
    """Adds up images, whatever a cell reports of itself."""

    def __init__(self, total: float, tell: OnProgress | None) -> None:
        self.total, self.tell = total, tell
        self.before = self.within = 0.0
        self.what = ""

    def begin(self, what: str) -> None:
        self.what, self.within = what, 0.0
        self._say()

    def advance(self, images: float) -> None:
        self.within += images
        self._say()

    def end(self, images: float) -> None:
        self.before, self.within = self.before + images, 0.0
        self._say()

    def _say(self) -> None:
        if self.tell:
            self.tell(self.before + self.within, self.total, self.what)
