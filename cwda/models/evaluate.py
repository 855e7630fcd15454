"""Accuracy of a model on labelled images."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cwda.errors import DataError, reason_of
from cwda.models.batches import Data, as_batches, count, within_memory
from cwda.models.classes import compare_classes, require_labels
from cwda.models.memory import Chunks
from cwda.numerics.device import Placement, is_out_of_memory
from cwda.progress import showing, steps
from cwda.typing import Device

__all__ = ["accuracy", "evaluation_mode"]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put every part of a model into evaluation mode, and each back as it was.

    So are tensors that hooks compute before each forward pass, such as masked weights.
    """
    before = [
        (part, part.training, {k: v for k, v in vars(part).items() if isinstance(v, Tensor)})
        for part in model.modules()
    ]
    model.eval()
    try:
        yield
    finally:
        for part, flag, computed in before:
            part.training = flag
            if computed:
                vars(part).update(computed)


@contextmanager
def _placed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a model on a device, and back where it was."""
    first = next(model.parameters(), None)
    if first is None or first.device == device:
        yield
        return
    home = first.device
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def accuracy(
    model: nn.Module,
    data: Data,
    *,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> float:
    """Share of images whose largest output is their label, in percent.

    If memory runs out, fewer images are taken at a time, and a `RuntimeWarning` says so.

    Parameters
    ----------
    model : nn.Module
        Maps images to logits, images x classes; its training flags stay as they were.
    data : Images, ImageData, tensors or iterable of batches
        See `cwda.models.batches.as_batches`; labels are needed.
    batch_size : int
        Images per batch, where `data` is not in batches already.
    device : str or torch.device
        Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", ... The model is
        back where it was afterwards.
    progress : bool
        Show a progress bar.

    Raises
    ------
    DataError
        If there are no images, no labels, or labels that the model does not have.
    OutOfMemory
        If not even one image fits into the memory of the device that was asked for.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.evaluate import accuracy
    >>> accuracy(torch.nn.Identity(), (torch.eye(4), torch.tensor([0, 1, 2, 0])))
    75.0
    """
    if not isinstance(model, nn.Module):
        raise DataError(
            f"accuracy needs a model that runs, not {type(model).__name__}; "
            "cwda.load_model makes one of a name or file"
        )
    placement = Placement(within_memory(data, device), "accuracy of a model")
    with showing(progress), evaluation_mode(model), torch.inference_mode():
        return placement.run(lambda device: _accuracy(model, data, batch_size, device))


def _accuracy(model: nn.Module, data: Data, batch_size: int, device: torch.device) -> float:
    chunks, total = Chunks(), 0
    correct = torch.zeros((), dtype=torch.int64, device=device)
    batches = as_batches(data, batch_size)
    with _placed(model, device):
        like = next(model.parameters(), torch.empty(0, device=device))  # its type as well
        for images, labels in steps(batches, "testing", count(data, batch_size)):
            if labels is None:
                raise DataError("accuracy needs labels: give data as pairs (images, labels)")
            span = int(labels.min()), int(labels.max())  # before they are on the device
            x, y = images.to(like), labels.to(like.device)
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            if not total:
                compare_classes(model, data, (x, labels), needs_labels=True)
            correct += chunks.run(len(x), functools.partial(_correct, model, x, y, span))
            total += len(x)
    if total == 0:
        raise DataError("the data hold no images")
    return 100 * int(correct) / total


def _correct(
    model: nn.Module, images: Tensor, labels: Tensor, span: tuple[int, int], size: int
) -> Tensor:
    """How many are right, on the device: the count leaves it once, after the last batch."""
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        try:
            outputs = model(x)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = reason_of(error, 120)
            shape = tuple(x.shape[1:])
            raise DataError(f"the model does not take images of {shape} ({reason})") from error
        if not isinstance(outputs, Tensor) or outputs.ndim != 2:
            raise DataError("the model does not give a row of class scores for each image")
        require_labels(*span, outputs.shape[1])
        correct += (outputs.argmax(1) == y).sum()
    return correct
