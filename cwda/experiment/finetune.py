"""Fine-tuning of a masked network: seeded, resumable, and stopped where the loss diverges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from cwda.arguments import choose, require_between, require_count
from cwda.errors import CwdaError
from cwda.models.data import Images
from cwda.models.loop import (
    Precision,
    half_cosine,
    read_checkpoint,
    save_checkpoint,
    train_epoch,
)
from cwda.models.memory import Chunks
from cwda.pruning.masks import Masks

__all__ = ["FineTuned", "FineTuning", "fine_tune"]

#: Largest shift of the images, in pixels.
_PADDING = 4


@dataclass(frozen=True)
class FineTuning:
    """How a pruned network is trained further.

    Stochastic gradient descent with Nesterov momentum on shifted and mirrored images; masks
    are enforced after each step.

    Attributes
    ----------
    epochs : int
        Passes over the training images.
    learning_rate : float
        Learning rate at the start; half a cosine takes it down to zero.
    momentum, weight_decay : float
        Settings of the optimizer.
    batch_size : int
        Images per step; what remains of an epoch beyond whole batches is left out.
    precision : {"mixed", "float32"}
        Mixed is bfloat16 where autocast takes it, or float16 with scaled losses on a GPU without
        bfloat16; the weights stay float32.
    """

    epochs: int = 1
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    precision: Precision = "mixed"

    def __post_init__(self) -> None:
        require_count(self.epochs, 1, "epochs", CwdaError)
        require_count(self.batch_size, 2, "batch_size, the images per step,", CwdaError)
        require_between(self.learning_rate, 0, math.inf, "a learning rate", CwdaError)
        for what in ("momentum", "weight_decay"):
            require_between(getattr(self, what), 0, 1, what, CwdaError, inclusive=True)
        choose([self.precision], get_args(Precision), "precision", CwdaError)


@dataclass(frozen=True)
class FineTuned:
    """What became of a fine-tuning.

    Attributes
    ----------
    epochs : int
        Good epochs; the model is as the last of them left it.
    loss : float
        Mean training loss of the last good epoch, NaN if there is none.
    reason : str
        Why it stopped early; empty if it did not.
    """

    epochs: int
    loss: float
    reason: str = ""


def fine_tune(
    model: nn.Module,
    masks: Masks,
    images: Images,
    finetuning: FineTuning,
    *,
    checkpoint: Path,
    seed: int = 0,
) -> FineTuned:
    """Train a masked model further, in place and on its device.

    Parameters
    ----------
    model : nn.Module
        Is left in evaluation mode.
    masks : Masks
        The masks of this model; enforced after each step.
    images : Images
        Training images.
    finetuning : FineTuning
        Schedule and optimizer.
    checkpoint : Path
        Holds the last good epoch; if it exists, training resumes there. Removed at the end
        unless the loss diverged.
    seed : int
        Seed of the order of the images and of their augmentation.

    Notes
    -----
    If memory runs out, a batch goes through the model in halves and gradients are summed, and a
    `RuntimeWarning` says so; BatchNorm then sees half a batch at a time.
    """
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=finetuning.learning_rate,
        momentum=finetuning.momentum,
        weight_decay=finetuning.weight_decay,
        nesterov=finetuning.momentum > 0,
    )
    done, loss = _resume(checkpoint, model, optimizer)
    masks.enforce()
    good = _copy(model.state_dict())
    chunks = Chunks()
    for epoch in range(done, finetuning.epochs):
        epoch_loss = _epoch(model, optimizer, masks, images, finetuning, seed, epoch, chunks)
        if not math.isfinite(epoch_loss) or not _finite(model):
            model.load_state_dict(good)
            reason = (
                f"the loss was not finite in epoch {epoch + 1}: stopped, and taken back to "
                f"{f'epoch {epoch}' if epoch else 'the pruned network'}; lower the learning rate "
                f"({finetuning.learning_rate:g})"
            )
            model.eval()
            return FineTuned(epoch, loss, reason)
        loss, good = epoch_loss, _copy(model.state_dict())
        save_checkpoint(checkpoint, model, optimizer, epochs=epoch + 1, loss=loss)
    checkpoint.unlink(missing_ok=True)
    model.eval()
    return FineTuned(finetuning.epochs, loss)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    masks: Masks,
    images: Images,
    finetuning: FineTuning,
    seed: int,
    epoch: int,
    chunks: Chunks,
) -> float:
    # A generator for each epoch, so that a resumed run draws what a whole one would.
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    size = min(finetuning.batch_size, len(images))
    whole = len(images) // size * size
    order = torch.randperm(len(images), generator=generator)[:whole].split(size)

    def learning_rate(share: float) -> float:
        return finetuning.learning_rate * half_cosine((epoch + share) / finetuning.epochs)

    return train_epoch(
        model,
        optimizer,
        images,
        order,
        learning_rate=learning_rate,
        generator=generator,
        padding=_PADDING,
        precision=finetuning.precision,
        chunks=chunks,
        after_step=masks.enforce,
    )


def _finite(model: nn.Module) -> bool:
    values = model.state_dict().values()
    return all(bool(value.isfinite().all()) for value in values if value.is_floating_point())


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


def _resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Epochs done and the loss of the last, once the model is as they left it."""
    if not path.exists():
        return 0, math.nan
    state = read_checkpoint(path)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs"]), float(state["loss"])
    except (RuntimeError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CwdaError(f"{path}: damaged ({reason}); delete it") from error
