"""`run_experiment`: every criterion at every ratio, pruned and fine-tuned, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from cwda.arguments import as_list, choose, require_count, require_ratios
from cwda.errors import CriterionError, CwdaError, DataError
from cwda.experiment.bench import Bench, OnProgress
from cwda.experiment.cells import Grid
from cwda.experiment.finetune import FineTuning, Precision
from cwda.experiment.pairs import compare_pairs
from cwda.experiment.result import ExperimentResult, rows_table
from cwda.experiment.store import Store
from cwda.experiment.subject import Scope, Subject, data_digest, weights_digest
from cwda.loading.sources import model_of
from cwda.models.data import ImageData, Images
from cwda.numerics.device import resolve_device
from cwda.scoring.catalogue import NORM_BASED

__all__ = ["run_experiment"]


def run_experiment(
    model: nn.Module | str | Path,
    data: ImageData,
    criteria: Sequence[str] = NORM_BASED,
    ratios: float | Sequence[float] = (0.1, 0.3, 0.5, 0.7),
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
    model : nn.Module, str or Path
        A trained network, which stays as it is, or a name or file that `cwda.load_model` reads.
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
        At most so many training images for criteria that need data.
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
    CwdaError
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
    model = model_of(model)
    if not isinstance(data, ImageData):
        raise DataError(
            "an experiment needs ImageData, as cwda.read_images gives it, not an object of type "
            f"{type(data).__name__}"
        )
    names = tuple(as_list(criteria, "criterion", CriterionError))
    chosen = tuple(as_list(strategies, "strategy", CwdaError))
    choose(chosen, ("layerwise", "global"), "strategy", CwdaError)
    ratios = require_ratios(ratios)
    at = require_ratios(ratios if finetune_at is None else finetune_at) if finetuning else ()
    grid = Grid(names, ratios, chosen, seeds, at)
    if subset is not None:
        require_count(subset, 1, "subset, a number of images,", DataError)
    require_count(samples, 1, "samples", DataError)
    test = _sampled(data.test, subset)
    subject = Subject.of(model, data, test, scope, precision, resolve_device(device))
    network = name or type(model).__name__
    identity: dict[str, Any] = {
        "weights": weights_digest(model),
        "data": data_digest(data),
        "scope": scope,
        "samples": samples,
        "subset": subset,
        "precision": precision,
    }
    if finetuning:
        identity["finetuning"] = asdict(finetuning)
    with ExitStack() as stack:
        path = Path(folder or stack.enter_context(TemporaryDirectory(prefix="cwda-")))
        run = Bench(
            network,
            subject,
            Store(path, identity),
            data.train,
            samples,
            _sampled(data.train, subset),
            finetuning,
        )
        records = run.all(grid, on_progress)
        scores = [run.scores(grid.criteria, seed) for seed in range(seeds)]
        plans = {cell: run.plan(cell) for cell in grid.cells() if cell.stage == "pruned"}
        pairs = compare_pairs(grid, rows_table(records), plans, scores, model, subject.layers)
    return ExperimentResult(rows_table(records), pairs, network, Path(folder) if folder else None)


def _sampled(images: Images, subset: int | None) -> Images:
    return images if subset is None or subset >= len(images) else images.sample(subset)
