"""Whether labels are the classes that a network tells apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cwda.errors import DataError
from cwda.models.batches import Batch, Data, labels_of

__all__ = ["compare_classes", "require_labels"]

#: Labels of all classes, evenly drawn, would leave the last ones out by chance this rarely.
_CHANCE = 1e-3


def require_labels(low: int, high: int, classes: int) -> None:
    """Raise unless labels from `low` to `high` are those of a network with so many classes.

    Raises
    ------
    DataError
        If there is one that the network does not have.

    Examples
    --------
    >>> require_labels(0, 9, 10)
    """
    if not 0 <= low <= high < classes:
        raise DataError(
            f"labels run from {low} to {high}, but the model has {classes} classes, 0 to "
            f"{classes - 1}; give the images that it was trained on"
        )


def compare_classes(
    model: Callable[[Tensor], Any], data: Data, first: Batch, *, needs_labels: bool
) -> None:
    """Compare the classes of a network with those of the images, before a pass over them.

    Labels that the network does not have are refused where they are needed, and else a
    `RuntimeWarning`. So is a network of K classes with n images whose labels end at m, where even
    draws from K classes would do that with a probability ((m + 1) / K)^n below .001.

    Parameters
    ----------
    model : callable
        From images to class scores; other outputs are not judged.
    data : Images, ImageData, tensors or iterable of batches
        What the pass is over. Of an iterator the first batch alone is judged.
    first : pair of Tensor and Tensor or None
        The first batch, on the model's device.
    needs_labels : bool
        Whether the pass computes a loss or an accuracy.

    Raises
    ------
    DataError
        If labels are needed that the network does not have.
    """
    images, labels = first
    classes = 0 if labels is None or not len(labels) else _classes_of(model, images[:1])
    if labels is None or classes < 2:
        return
    every = labels_of(data)
    labels = labels if every is None else every
    low, high = int(labels.min()), int(labels.max())
    if high >= classes and needs_labels:
        require_labels(low, high, classes)
    rare = every is not None and ((high + 1) / classes) ** len(every) < _CHANCE
    if high >= classes or rare:
        warnings.warn(
            f"the network tells {classes} classes apart, but the labels end at {high}: are these "
            "images of the classes that it was trained on?",
            RuntimeWarning,
            stacklevel=1,  # one place, so that two passes over the same images say it once
        )


def _classes_of(model: Callable[[Tensor], Any], image: Tensor) -> int:
    """Columns of the output; 0 where it is something else, or the pass itself will fail."""
    try:
        with torch.no_grad():
            outputs = model(image)
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError):
        return 0
    is_scores = isinstance(outputs, Tensor) and outputs.ndim == 2
    return outputs.shape[1] if is_scores else 0
