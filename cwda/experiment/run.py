"""`run_experiment`: every criterion at every ratio, pruned and fine-tuned, trial by trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import torch
from torch import nn

from cwda.arguments import as_list, as_path, choose, require_count, require_ratios
from cwda.choices import Strategy
from cwda.errors import CriterionError, DataError
from cwda.experiment.bench import Bench
from cwda.experiment.finetune import FineTuning
from cwda.experiment.pairs import compare_pairs
from cwda.experiment.result import ANSWER, ExperimentResult
from cwda.experiment.specimen import Scope, Specimen, weights_digest
from cwda.experiment.trials import DONE, Trials
from cwda.grid import Store
from cwda.loading.sources import model_of, network_of
from cwda.models.data import ImageData, Images
from cwda.models.loop import Precision
from cwda.numerics.device import Placement
from cwda.numerics.exact import without_autocast
from cwda.progress import showing
from cwda.scoring.catalogue import NORM_BASED
from cwda.typing import Device

__all__ = ["run_experiment"]


# Fine-tuning needs gradients, and precisions are options, wherever it is called.
@torch.inference_mode(False)
@without_autocast()
def run_experiment(
    model: nn.Module | str | Path,
    data: ImageData,
    criteria: Sequence[str] = NORM_BASED,
    *,
    ratios: float | Sequence[float] = (0.1, 0.3, 0.5, 0.7),
    strategies: str | Sequence[str] = get_args(Strategy),
    finetuning: FineTuning | None = None,
    finetune_at: float | Sequence[float] | None = None,
    scope: Scope = "free",
    precision: Precision = "float32",
    samples: int = 1024,
    subset: int | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
    name: str | None = None,
    device: Device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> ExperimentResult:
    """Prune a network once by each criterion, fine-tune it, and measure its accuracy.

    Parameters
    ----------
    model : nn.Module, str or Path
        A trained network, which stays as it is, or a name or file that `cwda.load_model` reads.
    data : ImageData
        What it was trained and is tested on, with its normalisation.
    criteria : sequence of str
        Names of `cwda.criteria()`.
    ratios : sequence of float
        Shares of filters to prune, between 0 and 1.
    strategies : sequence of {"layerwise", "global"}
        One ranking per layer, or one for all layers.
    finetuning : FineTuning, optional
        How pruned networks are trained further; not at all by default.
    finetune_at : sequence of float, optional
        The ratios at which they are; all by default.
    seeds : int
        Number of repetitions of everything that is random: calibration images, the scores of
        `random`, and the order and augmentation of the images in fine-tuning.
    folder : str or Path, optional
        Keeps every trial as soon as it is done; a run that was killed resumes there, and one
        with more criteria, ratios or seeds adds to it. `ExperimentResult.load` reads the answer
        from it.
    samples : int
        Number of training images for criteria that need data, if there are as many.
    subset : int, optional
        Fine-tune on a random sample of this many training images and measure accuracy on this
        many test images, the same for all trials; all by default.
    scope : {"free", "all"}
        Prune only convolutions whose filters are tied to no others (in a ResNet the
        inner ones of each block, as usual in the literature), or all, tied filters together.
    precision : {"float32", "mixed"}
        Precision of the accuracies; that of fine-tuning is in `finetuning`.
    name : str, optional
        What tables call the network; the class of the model by default.
    device : str or torch.device
        Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", ...
    seed : int
        The first of the seeds; the others follow it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    ExperimentResult
        ``.table``, one row per trial, and ``.pairs``, one row per pair of criteria.

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
    >>> found = run_experiment(model, data, ["l1", "l2"], ratios=0.5, strategies="layerwise")
    >>> found.table[["criterion", "stage", "accuracy", "filters_pruned"]].values.tolist()
    [['none', 'unpruned', 10.0, 0], ['l1', 'pruned', 10.0, 56], ['l2', 'pruned', 10.0, 56]]
    """
    model = model_of(model)
    if not isinstance(data, ImageData):
        raise DataError(
            "an experiment needs ImageData, as cwda.read_images gives it, not an object of type "
            f"{type(data).__name__}"
        )
    ratios = require_ratios(ratios)
    strategies = tuple(as_list(strategies, "strategy"))
    choose(strategies, get_args(Strategy), "strategy")
    require_count(seeds, 1, "seeds, how many there are,")
    require_count(seed, 0, "seed")
    trials = Trials(
        tuple(as_list(criteria, "criterion", CriterionError)),
        ratios,
        strategies,
        range(seed, seed + seeds),
        require_ratios(ratios if finetune_at is None else finetune_at) if finetuning else (),
    )
    if subset is not None:
        require_count(subset, 1, "subset, a number of images,", DataError)
    require_count(samples, 1, "samples", DataError)
    test, finetune_on = _sampled(data.test, subset), _sampled(data.train, subset)
    placement = Placement(device, "the experiment")
    specimen = placement.run(
        lambda device: Specimen.of(model, data, test, scope, precision, device)
    )
    network = replace(network_of(model), name=name or type(model).__name__)
    claim: dict[str, Any] = {
        "weights": weights_digest(model),
        "data": data.sha256,
        "scope": scope,
        "samples": samples,
        "subset": subset,
        "precision": precision,
    }
    if finetuning:
        claim["finetuning"] = asdict(finetuning)
    with ExitStack() as stack:
        stack.enter_context(showing(progress))
        home = folder or stack.enter_context(TemporaryDirectory(prefix="cwda-"))
        path = as_path(home)
        store = Store(path / DONE, "experiment", claim)
        bench = Bench(
            network.name, specimen, path, store, data.train, samples, finetune_on, finetuning
        )
        rows = bench.measure(trials)
        scores = [bench.scores(trials.criteria, each) for each in trials.seeds]
        plans = {trial: bench.plan(trial) for trial in trials if trial.stage == "pruned"}
        pairs = compare_pairs(trials, rows, plans, scores, network, specimen.layers)
        found = ExperimentResult(
            tuple(rows),
            (network,),
            level=math.nan,
            pair_rows=tuple(pairs),
            folder=path if folder else None,
        )
        found.save(path / ANSWER)
    return found


def _sampled(images: Images, subset: int | None) -> Images:
    return images if subset is None or subset >= len(images) else images.sample(subset)
