"""The pruning experiment: a CIFAR ResNet-56 pruned by each criterion and fine-tuned.

Trials are kept in a folder as they are done, unfinished ones by epoch: the next run goes on there.
"""

from __future__ import annotations

import signal
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch import nn

import cwda
from cwda.experiment import FineTuning, run_experiment
from cwda.experiment.result import ExperimentResult
from cwda.models import build, initialise
from cwda.models.data import ImageData

__all__ = ["Schedule", "fine_tune_resnet"]


@dataclass(frozen=True)
class Schedule:
    """What is pruned and how it is fine-tuned, in the order in which it is done."""

    architecture: str = "cifar_resnet56"
    criteria: Sequence[str] = ("l2", "gm", "l1", "fermat", "bn_gamma", "taylor_l1")
    ratios: Sequence[float] = (0.5, 0.7)
    epochs: int = 10
    images: int | None = None


#: What a dry run does.
SMALL = Schedule("cifar_resnet20", ("l2", "l1"), (0.5,), 1, 64)


class _OutOfTimeError(BaseException):
    """The time for this step is over; no handler of other errors may take it for one."""


def fine_tune_resnet(
    weights: Path | None,
    data: ImageData | None,
    schedule: Schedule,
    *,
    folder: Path,
    device: torch.device,
    seconds: float,
) -> None:
    """Print accuracies after pruning and fine-tuning, criterion by criterion, until time is up.

    Parameters
    ----------
    weights : Path, optional
        Trained weights; random ones if none are given, for the time alone.
    data : ImageData, optional
        CIFAR-10, or part of it; random images if none are given, for the time alone.
    folder : Path
        Where the experiment is kept; what is done there is not done again.
    seconds : float
        Time after which it stops.
    """
    model, data = _model(weights, schedule), data or _random_images(schedule.images or 4000)
    trained = "trained weights" if weights else "random weights, for the time alone"
    print(f"{schedule.architecture}, {trained}: {data!r}; {schedule.epochs} epochs in mixed")
    print("precision, convolutions whose filters are tied to no others.\n")
    print("| criterion | ratio | pruned | fine-tuned | epochs | loss | seconds an epoch |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    printed: set[tuple[str, float]] = set()
    unfinished = False
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        for last in range(1, len(schedule.ratios) + 1):
            for among in range(1, len(schedule.criteria) + 1):
                ratios, criteria = schedule.ratios[:last], schedule.criteria[:among]
                found = _run(model, data, schedule, criteria, ratios, folder, device)
                _show(found, printed)
    except _OutOfTimeError:
        unfinished = True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if unfinished:
        print("\nStopped in time; the next run with this folder goes on with the last epoch.")
    folder.mkdir(exist_ok=True)
    packed = folder.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, folder.name)
    print(f"\nKept in {packed.name}.")


def _run(
    model: nn.Module,
    data: ImageData,
    schedule: Schedule,
    criteria: Sequence[str],
    ratios: Sequence[float],
    folder: Path,
    device: torch.device,
) -> ExperimentResult:
    return run_experiment(
        model,
        data,
        criteria,
        ratios=ratios,
        strategies="layerwise",
        finetuning=FineTuning(epochs=schedule.epochs),
        precision="mixed",
        subset=schedule.images,
        folder=folder,
        name=schedule.architecture,
        device=device,
        progress=False,
    )


def _show(found: ExperimentResult, printed: set[tuple[str, float]]) -> None:
    """Print the rows that are new."""
    table = found.table
    if not printed:
        print(f"| none | 0 | {found.baseline:.2f} % | | | | |", flush=True)
    for (criterion, ratio), rows in table[table.stage != "unpruned"].groupby(
        ["criterion", "ratio"], sort=False
    ):
        if (criterion, ratio) in printed:
            continue
        printed.add((criterion, ratio))
        by_stage = rows.set_index("stage")
        pruned, tuned = by_stage.loc["pruned"], by_stage.loc["finetuned"]
        cells = [f"{pruned.accuracy:.2f} %", f"{tuned.accuracy:.2f} %", f"{tuned.epochs}"]
        cells += [f"{tuned.loss:.3f}", f"{tuned.seconds / max(tuned.epochs, 1):.2f}"]
        print(f"| {criterion} | {ratio:g} | {' | '.join(cells)} |", flush=True)


def _model(weights: Path | None, schedule: Schedule) -> nn.Module:
    if weights is not None:
        return cwda.load_model(weights)
    model = build(schedule.architecture, num_classes=10)
    initialise(model, seed=0)
    return model


def _random_images(training: int) -> ImageData:
    """So many to train on, and a quarter of that to test on."""
    generator = torch.Generator().manual_seed(0)
    size = training + training // 4, 3, 32, 32
    pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    labels = torch.arange(len(pixels)) % 10
    return ImageData(pixels[:training], labels[:training], pixels[training:], labels[training:])


def _stop(signum: int, frame: FrameType | None) -> None:
    raise _OutOfTimeError
