"""The loop that training and fine-tuning share: one epoch, and the checkpoints between epochs."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cwda.errors import CwdaError
from cwda.files import whole_file
from cwda.models.data import Images, augment, normalise
from cwda.models.memory import Chunks
from cwda.progress import steps

__all__ = [
    "Precision",
    "autocast",
    "half_cosine",
    "read_checkpoint",
    "save_checkpoint",
    "train_epoch",
]

Precision = Literal["float32", "mixed"]

# On a GPU each look at the loss waits for all queued work.
_STEPS_BETWEEN_LOOKS = 20


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Images,
    order: Sequence[Tensor],
    *,
    learning_rate: Callable[[float], float],
    generator: torch.Generator,
    padding: int | None,
    precision: Precision,
    chunks: Chunks | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Train for one epoch, in place and on the device of the model.

    Parameters
    ----------
    model : nn.Module
        Is left in training mode.
    optimizer : Optimizer
        Of its parameters.
    images : Images
        Training images.
    order : sequence of Tensor
        Indices of the images of each step.
    learning_rate : callable
        From the share of the epoch that is done to the learning rate.
    generator : torch.Generator
        Draws shifts and mirrorings.
    padding : int, optional
        Largest shift, in pixels; None leaves the images as they are.
    precision : {"float32", "mixed"}
        Mixed is bfloat16 where autocast takes it, or float16 with scaled losses on a GPU without
        bfloat16; the weights stay float32.
    chunks : Chunks, optional
        Halves a batch where memory runs out; gradients are summed, and BatchNorm then sees half a
        batch at a time.
    after_step : callable
        Called after each step.

    Returns
    -------
    float
        Mean loss over the images; NaN as soon as it is seen not to be finite.
    """
    device = next(model.parameters()).device
    half = precision == "mixed" and device.type == "cuda" and not _has_bfloat16()
    scaler = torch.amp.GradScaler(device.type, enabled=half)
    chunks = chunks or Chunks()
    batches = _batches(images, order, generator, padding, device)
    model.train()
    total = torch.zeros((), dtype=torch.float64, device=device)
    # On CUDA algorithms may differ from run to run otherwise.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for step, (x, y) in enumerate(steps(batches, "training", len(order))):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step / len(order))
            total += len(x) * _gradient(model, x, y, precision, scaler, chunks).double()
            scaler.step(optimizer)
            scaler.update()
            after_step()
            if step % _STEPS_BETWEEN_LOOKS == 0 and not math.isfinite(total.item()):
                return math.nan
    return total.item() / sum(map(len, order))


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
    images: Images,
    order: Sequence[Tensor],
    generator: torch.Generator,
    padding: int | None,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the device; the next is made while the last is worked on."""
    pinned = device.type == "cuda"

    def make(indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = normalise(images.pixels[indices], images.mean, images.std), images.labels[indices]
        if padding is not None:
            x = augment(x, generator, padding)
        x = x.contiguous(memory_format=torch.channels_last)
        return (x.pin_memory(), y.pin_memory()) if pinned else (x, y)

    with ThreadPoolExecutor(max_workers=1) as worker:  # one, so that draws keep their order
        ahead = worker.submit(make, order[0])
        for following in (*order[1:], None):
            x, y = ahead.result()
            if following is not None:
                ahead = worker.submit(make, following)
            yield x.to(device, non_blocking=True), y.to(device, non_blocking=True)


def half_cosine(share: float) -> float:
    """The factor that falls from 1 to 0 along half a cosine.

    Examples
    --------
    >>> half_cosine(0.0), half_cosine(0.5), half_cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * share))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """The context in which a model computes with a precision."""
    bfloat16 = device.type != "cuda" or _has_bfloat16()
    kind = torch.bfloat16 if bfloat16 else torch.float16
    return torch.autocast(device.type, dtype=kind, enabled=precision == "mixed")


def _has_bfloat16() -> bool:
    return torch.cuda.get_device_capability() >= (8, 0)  # older ones only emulate it


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, **facts: Any
) -> None:
    """Write the states of model and optimizer and what else is known, whole or not at all.

    Raises
    ------
    CwdaError
        If the file cannot be written.
    """
    state = facts | {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    with whole_file(path) as partial:
        torch.save(state, partial)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `save_checkpoint` wrote, on the CPU.

    Raises
    ------
    CwdaError
        If the file is damaged.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CwdaError(f"{path}: not a readable checkpoint; remove it to start again") from error
    if not isinstance(state, dict) or not {"model", "optimizer"} <= state.keys():
        raise CwdaError(f"{path}: not a readable checkpoint; remove it to start again")
    return state
