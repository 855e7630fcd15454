"""Class labels: whole numbers from 0, or one line that says what they are instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.errors import DataError

__all__ = ["class_labels"]

_WANTED = "labels are whole numbers 0, 1, ..., C - 1, one per image"


def class_labels(labels: npt.NDArray[Any] | Tensor, images: int) -> Tensor:
    """The labels of a number of images as int64, shape (images,), where their meaning is exact.

    Floating-point labels that are whole numbers are taken, booleans as 0 and 1, and a second
    axis of length 1 (as in Keras's data sets) is dropped.

    Raises
    ------
    DataError
        If they are text, fractions, NaN, negative, one-hot, too large or not one per image.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.models.labels import class_labels
    >>> class_labels(np.array([[3.0], [0.0]]), 2)
    tensor([3, 0])
    """
    device = labels.device if isinstance(labels, Tensor) else torch.device("cpu")
    values = _as_array(labels)
    if values.shape == (images, 1):
        values = values[:, 0]
    if values.dtype.kind not in "iufb":
        shown = f", such as {str(values.flat[0])[:40]!r}" if values.size else ""
        raise DataError(f"{_WANTED}, not {_kind(values)}{shown}; number the classes")
    if values.ndim == 2 and len(values) == images:
        raise DataError(
            f"{_WANTED}, not an array of shape {values.shape}; of one-hot labels take argmax(1)"
        )
    if values.shape != (images,):
        raise DataError(f"{_WANTED}: {images} images but labels of shape {values.shape}")
    wrong = _wrong(values)
    if wrong.any():
        raise DataError(
            f"{_WANTED}; {int(wrong.sum())} of {images} are not, such as {values[wrong][0]!s}"
        )
    return torch.from_numpy(values.astype(np.int64)).to(device)


def _as_array(labels: npt.NDArray[Any] | Tensor) -> npt.NDArray[Any]:
    if not isinstance(labels, Tensor):
        return np.asarray(labels)
    labels = labels.detach().cpu()
    if labels.dtype in (torch.bfloat16, torch.float16):
        labels = labels.float()
    values: npt.NDArray[Any] = labels.numpy()
    return values


def _kind(values: npt.NDArray[Any]) -> str:
    return "text" if values.dtype.kind in "USTO" else str(values.dtype)


def _wrong(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which values are not class numbers: fractions, not finite, negative or beyond int64."""
    if values.dtype.kind == "b":
        return np.zeros(values.shape, bool)
    wrong: npt.NDArray[np.bool_]
    if values.dtype.kind != "f":
        wrong = (values < 0) | (values > np.iinfo(np.int64).max)
        return wrong
    with np.errstate(over="ignore"):
        exact = values.astype(np.float64)  # a limit would overflow in float16
    wrong = ~((exact >= 0) & (exact <= 2.0**53) & (exact == np.floor(exact)))
    return wrong
