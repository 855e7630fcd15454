"""Fine-tuning of a masked network: seeded, resumable, and stopped where the loss diverges."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from cwda.arguments import choose, require_between, require_count
from cwda.errors import CwdaError
from cwda.files import whole_file
from cwda.models.data import Images, augment, normalise
from cwda.models.memory import Chunks
from cwda.pruning.masks import Masks

__all__ = ["FineTuned", "FineTuning", "Precision", "autocast", "fine_tune"]

Precision = Literal["float32", "mixed"]

# On a GPU each look at the loss waits for all work queued.
_STEPS_BETWEEN_LOOKS = 20


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
        At the start; half a cosine takes it down to zero.
    momentum, weight_decay : float
        Of the optimizer.
    batch_size : int
        Images a step; what is left of an epoch beyond whole batches is left out.
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
        require_count(self.batch_size, 2, "batch_size, the images of a step,", CwdaError)
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
    how: FineTuning,
    seed: int,
    checkpoint: Path,
    on_images: Callable[[int], None] = lambda n: None,
) -> FineTuned:
    """Train a masked model further, in place and on its device.

    Parameters
    ----------
    model : nn.Module
        Is left in evaluation mode.
    masks : Masks
        Of this model.
    images : Images
        Training images.
    how : FineTuning
        Schedule and optimizer.
    seed : int
        Seed of the order of the images and of their augmentation.
    checkpoint : Path
        Holds the last good epoch; if it exists, training goes on from there. Removed at the end
        unless the loss diverged.
    on_images : callable
        Told the number of images after each step.

    Notes
    -----
    If memory runs out, a batch goes through the model in halves and gradients are summed, and a
    `RuntimeWarning` says so; BatchNorm then sees half a batch at a time.
    """
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=how.learning_rate,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        nesterov=how.momentum > 0,
    )
    done, loss = _resume(checkpoint, model, optimizer)
    masks.enforce()
    good = _copy(model.state_dict())
    chunks = Chunks()
    for epoch in range(done, how.epochs):
        # On CUDA algorithms may differ from run to run otherwise.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            epoch_loss = _epoch(
                model, optimizer, masks, images, how, seed, epoch, chunks, on_images
            )
        if not math.isfinite(epoch_loss) or not _finite(model):
            model.load_state_dict(good)
            reason = (
                f"the loss was not finite in epoch {epoch + 1}: stopped, and taken back to "
                f"{f'epoch {epoch}' if epoch else 'the pruned network'}; lower the learning rate "
                f"({how.learning_rate:g})"
            )
            model.eval()
            return FineTuned(epoch, loss, reason)
        loss, good = epoch_loss, _copy(model.state_dict())
        _save(checkpoint, epoch + 1, loss, model, optimizer)
    checkpoint.unlink(missing_ok=True)
    model.eval()
    return FineTuned(how.epochs, loss)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    masks: Masks,
    images: Images,
    how: FineTuning,
    seed: int,
    epoch: int,
    chunks: Chunks,
    on_images: Callable[[int], None],
) -> float:
    """Mean loss of one epoch; NaN as soon as it is seen not to be finite."""
    device = next(model.parameters()).device
    # A generator for each epoch, so that a resumed run draws what a whole one would.
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    size = min(how.batch_size, len(images))
    steps = len(images) // size
    order = torch.randperm(len(images), generator=generator)[: steps * size].split(size)
    half = how.precision == "mixed" and device.type == "cuda" and not _has_bfloat16()
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    model.train()
    total = torch.zeros((), device=device)
    for step, (x, y) in enumerate(_batches(images, order, generator, device)):
        progress = (epoch + step / steps) / how.epochs
        for group in optimizer.param_groups:
            group["lr"] = how.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        total += _gradient(model, x, y, how.precision, scaler, chunks)
        scaler.step(optimizer)
        scaler.update()
        masks.enforce()
        on_images(len(x))
        if step % _STEPS_BETWEEN_LOOKS == 0 and not math.isfinite(total.item()):
            return math.nan
    return total.item() / steps


def _gradient(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    precision: Precision,
    scaler: torch.amp.GradScaler,
    chunks: Chunks,
) -> Tensor:
    """Set the gradient of the mean loss of a batch, and give that loss."""
    buffers = list(model.buffers())
    before = [buffer.clone() for buffer in buffers]

    def work(size: int) -> Tensor:
        model.zero_grad(set_to_none=True)
        for buffer, value in zip(buffers, before, strict=True):  # a failed attempt moved them
            buffer.copy_(value)
        total = torch.zeros((), device=x.device)
        for part, labels in zip(x.split(size), y.split(size), strict=True):
            with autocast(x.device, precision):
                outputs = model(part)
            loss = nn.functional.cross_entropy(outputs.float(), labels, reduction="sum") / len(x)
            scaler.scale(loss).backward()
            total += loss.detach()
        return total

    return chunks.run(len(x), work)


def _batches(
    images: Images, order: tuple[Tensor, ...], generator: torch.Generator, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches on the device; the next is made while the last is worked on."""
    pinned = device.type == "cuda"

    def make(chosen: Tensor) -> tuple[Tensor, Tensor]:
        x = augment(normalise(images.pixels[chosen], images.mean, images.std), generator)
        x, y = x.contiguous(memory_format=torch.channels_last), images.labels[chosen]
        return (x.pin_memory(), y.pin_memory()) if pinned else (x, y)

    with ThreadPoolExecutor(max_workers=1) as worker:  # one, so that draws keep their order
        ahead = worker.submit(make, order[0])
        for following in (*order[1:], None):
            x, y = ahead.result()
            if following is not None:
                ahead = worker.submit(make, following)
            yield x.to(device, non_blocking=True), y.to(device, non_blocking=True)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """The context in which a model computes with a precision."""
    bfloat16 = device.type != "cuda" or _has_bfloat16()
    kind = torch.bfloat16 if bfloat16 else torch.float16
    return torch.autocast(device.type, dtype=kind, enabled=precision == "mixed")


def _has_bfloat16() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)  # older ones only emulate it


def _finite(model: nn.Module) -> bool:
    values = model.state_dict().values()
    return all(bool(value.isfinite().all()) for value in values if value.is_floating_point())


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


def _save(
    path: Path, epochs: int, loss: float, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    state = {
        "epochs": epochs,
        "loss": loss,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with whole_file(path) as partial:
        torch.save(state, partial)


def _resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Epochs done and the loss of the last, once the model is as they left it."""
    if not path.exists():
        return 0, math.nan
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs"]), float(state["loss"])
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CwdaError(f"{path}: damaged ({reason}); delete it") from error
