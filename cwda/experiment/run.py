"""`run_experiment`: every criterion at every ratio, pruned and fine-tuned, cell by cell."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from cwda.errors import DataError, SelectionError
from cwda.experiment.cells import Cell, Grid
from cwda.experiment.finetune import FineTuning, Precision, fine_tune
from cwda.experiment.pairs import compare_pairs
from cwda.experiment.result import ExperimentResult, rows_table
from cwda.experiment.store import Store
from cwda.experiment.subject import Scope, Scores, Subject, data_digest, weights_digest
from cwda.models.data import ImageData, Images
from cwda.numerics.device import resolve_device
from cwda.pruning.masks import Masks
from cwda.pruning.norms import NORM_BASED
from cwda.pruning.plan import Plan
from cwda.pruning.planning import make_plan

__all__ = ["OnProgress", "run_experiment"]

#: Told images done, images to do in all, and what is being done.
OnProgress = Callable[[float, float, str], None]

# A training step costs about three forward passes.
_TRAINING = 3


def run_experiment(
    model: nn.Module,
    data: ImageData,
    criteria: Sequence[str] = NORM_BASED,
    ratios: Sequence[float] = (0.1, 0.3, 0.5, 0.7),
    strategies: Sequence[str] = ("layerwise", "global"),
    *,
    finetuning: FineTuning | None = None,
    finetune_at: Sequence[float] | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
    samples: int = 1024,
    subset: int | None = None,
    scope: Scope = "free",
    precision: Precision = "float32",
    device: torch.device | str = "auto",
    name: str | None = None,
    on_progress: OnProgress | None = None,
) -> ExperimentResult:
    """Prune a network once by each criterion, fine-tune it, and measure its accuracy.

    Parameters
    ----------
    model : nn.Module
        A trained network; it stays as it is.
    data : ImageData
        What it was trained and is tested on, with its normalisation.
    criteria : sequence of str
        Names of `cwda.pruning.criteria()`.
    ratios : sequence of float
        Shares of filters to prune, between 0 and 1.
    strategies : sequence of {"layerwise", "global"}
        One ranking a layer, or one for all.
    finetuning : FineTuning, optional
        How pruned networks are trained further; not at all by default.
    finetune_at : sequence of float, optional
        The ratios at which they are; all by default.
    seeds : int
        Repeats everything that is random with the seeds 0 to seeds - 1: calibration
        images, the scores of `random`, and the order and augmentation of the images in
        fine-tuning.
    folder : str or Path, optional
        Keeps every cell as soon as it is done; a run that was killed goes on there, and one
        with more criteria, ratios or seeds adds to it.
    samples : int
        Training images for criteria that need data.
    subset : int, optional
        Fine-tune on a random sample of so many training images and measure accuracy on so
        many test images, the same for all cells; all by default.
    scope : {"free", "all"}
        Prune only convolutions whose filters are tied to no others (in a ResNet the
        inner ones of each block, as usual in the literature), or all, tied filters together.
    precision : {"float32", "mixed"}
        In which accuracies are computed; that of fine-tuning is in `finetuning`.
    device : torch.device or str
        Where to compute.
    name : str, optional
        What tables call the network; the class of the model by default.
    on_progress : callable
        Told images done, images to do, and the cell.

    Returns
    -------
    ExperimentResult
        ``.table``, a row per cell, and ``.pairs``, a row per pair of criteria.

    Raises
    ------
    DataError
        If the data do not fit the model.
    ExperimentError
        If the request is impossible, or the folder belongs to another experiment.
    CriterionError, TracingError
        If a criterion is unknown, or the model cannot be traced.

    Notes
    -----
    One seed gives the same numbers to the bit on one machine with one number of threads.
    Selections that are the same are measured once. A fine-tuning whose loss is not finite is
    taken back to the last good epoch and keeps its row, with the reason.

    References
    ----------
    Huang et al. (2021), figure 3.

    Examples
    --------
    >>> import torch
    >>> from cwda.experiment import run_experiment
    >>> from cwda.models import ImageData, cifar_resnet, initialise
    >>> model = cifar_resnet(8)
    >>> initialise(model, seed=0)
    >>> pixels = torch.zeros(20, 3, 8, 8, dtype=torch.uint8)
    >>> data = ImageData(pixels, torch.arange(20) % 10, pixels, torch.arange(20) % 10)
    >>> found = run_experiment(model, data, ["l1", "l2"], [0.5], ["layerwise"])
    >>> found.table[["criterion", "stage", "accuracy", "filters_pruned"]].values.tolist()
    [['none', 'unpruned', 10.0, 0], ['l1', 'pruned', 10.0, 56], ['l2', 'pruned', 10.0, 56]]
    """
    at = tuple(ratios if finetune_at is None else finetune_at) if finetuning else ()
    grid = Grid(tuple(criteria), tuple(ratios), tuple(strategies), seeds, at)
    if subset is not None and subset < 1:
        raise DataError(f"a subset has 1 image or more, not {subset}")
    test = _sampled(data.test, subset)
    subject = Subject.of(model, data, test, scope, precision, resolve_device(device))
    identity = {
        "network": name or type(model).__name__,
        "weights": weights_digest(model),
        "data": data_digest(data),
        "scope": scope,
        "samples": samples,
        "subset": subset,
        "precision": precision,
        "finetuning": asdict(finetuning) if finetuning else None,
    }
    with ExitStack() as stack:
        path = Path(folder or stack.enter_context(TemporaryDirectory(prefix="cwda-")))
        run = _Run(
            identity["network"],
            subject,
            Store(path, {key: identity[key] for key in identity if key != "network"}),
            data.train,
            samples,
            _sampled(data.train, subset),
            finetuning,
        )
        records = run.all(grid, on_progress)
        scores = [run.scores(grid.criteria, seed) for seed in range(seeds)]
        plans = {cell: run.plan(cell) for cell in grid.cells() if cell.stage == "pruned"}
        pairs = compare_pairs(grid, rows_table(records), plans, scores, model, subject.layers)
    return ExperimentResult(
        rows_table(records), pairs, identity["network"], Path(folder) if folder else None
    )


def _sampled(images: Images, subset: int | None) -> Images:
    return images if subset is None or subset >= len(images) else images.sample(subset)


@dataclass(eq=False)
class _Run:
    """What the cells of one run share."""

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
        names = {
            each: f"{hashlib.sha256(each.encode()).hexdigest()[:8]}-seed{seed}" for each in criteria
        }
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
