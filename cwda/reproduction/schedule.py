"""`Schedule`: how much of a paper's experiments is run, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from cwda.choices import Scope, Strategy
from cwda.experiment import FineTuning
from cwda.scoring.catalogue import NORM_BASED, RANDOM

__all__ = ["SCHEDULES", "Schedule", "Step"]


@dataclass(frozen=True)
class Step:
    """Trials of every network, done before those of the next step.

    Attributes
    ----------
    scope : {"free", "all"}
        Convolutions whose filters are tied to no others, or all.
    strategy : {"layerwise", "global"}
        One ranking per layer, or one for all layers.
    ratios : tuple of float
        Shares of filters to prune.
    finetune_at : tuple of float
        The ratios at which the pruned networks are fine-tuned.
    """

    scope: Scope
    strategy: Strategy
    ratios: tuple[float, ...]
    finetune_at: tuple[float, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """How pruning experiments are run.

    Attributes
    ----------
    words : str
        What it is for.
    steps : tuple of Step
        In the order of their importance, so that a run may be cut off anywhere; a later step
        adds to what an earlier one of its scope and strategy has done.
    criteria : tuple of str
        Criteria to prune by.
    finetuning : FineTuning
        How pruned networks are trained further.
    images : int or None
        Images to fine-tune on, and to test on; all if None.
    samples : int
        Images on which criteria that need data are scored.
    """

    words: str
    steps: tuple[Step, ...]
    criteria: tuple[str, ...]
    finetuning: FineTuning
    images: int | None
    samples: int


_SHORT = (0.3, 0.5, 0.7)
_LONG = (0.1, 0.3, 0.5, 0.7)

#: By name. `short` takes some hours on one processor core, `quick` a few minutes, `full` a GPU.
SCHEDULES: dict[str, Schedule] = {
    "quick": Schedule(
        "a first look: one ratio, 500 images, 8 steps of fine-tuning",
        (
            Step("free", "layerwise", (0.5,), (0.5,)),
            Step("free", "global", (0.3,)),
        ),
        (*NORM_BASED, RANDOM),
        FineTuning(epochs=1, learning_rate=0.02, batch_size=64),
        500,
        512,
    ),
    "short": Schedule(
        "two processor cores: one epoch of fine-tuning on 10,000 images",
        (
            Step("free", "layerwise", (0.5,), (0.5,)),
            Step("free", "global", (0.3,), (0.3,)),
            Step("free", "layerwise", _SHORT, (0.5,)),
            Step("free", "layerwise", _SHORT, (0.3, 0.5)),
            Step("free", "layerwise", _SHORT, _SHORT),
            Step("all", "layerwise", (0.5,), (0.5,)),
        ),
        (*NORM_BASED, "bn_gamma", "taylor_l1", "apoz", RANDOM),
        FineTuning(epochs=1, learning_rate=0.02, batch_size=64),
        10_000,
        4_096,
    ),
    "full": Schedule(
        "a GPU: 40 epochs of fine-tuning on all images",
        (
            Step("free", "layerwise", _LONG, (0.5,)),
            Step("free", "global", _LONG, (0.3,)),
            Step("all", "layerwise", _LONG, (0.5,)),
            Step("free", "layerwise", _LONG, _LONG),
            Step("free", "global", _LONG, _LONG),
            Step("all", "layerwise", _LONG, _LONG),
            Step("all", "global", _LONG, _LONG),
        ),
        (*NORM_BASED, "bn_gamma", "taylor_l1", "taylor_l2", "apoz", RANDOM),
        FineTuning(epochs=40, learning_rate=0.05, batch_size=128),
        None,
        8_192,
    ),
}
