"""Whatever stands for labelled images becomes batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import torch
from torch import Tensor

from cwda.arguments import require_count
from cwda.errors import DataError
from cwda.models.data import ImageData, Images
from cwda.models.labels import class_labels
from cwda.numerics.device import resolve_device
from cwda.typing import Device

__all__ = ["Batch", "Data", "as_batches", "count", "labels_of", "within_memory"]

#: Images ready for a model, and their labels where there are some.
Batch = tuple[Tensor, Tensor | None]

Data = ImageData | Images | Tensor | tuple[Tensor, Tensor] | Iterable[Any]


def as_batches(data: Data, batch_size: int = 128) -> Iterator[Batch]:
    """Batches of images and labels, in the order of the data.

    Parameters
    ----------
    data : Images, ImageData, tensor, pair of tensors or iterable of batches
        `Images` are normalised; of `ImageData` the training images are taken. Tensors are
        images (n, channels, height, width) as the model takes them, alone or with class
        labels (n,). Anything else, such as a DataLoader, gives batches, each a tensor of images or
        a pair with labels.
    batch_size : int
        Images per batch where the data are not in batches already.

    Raises
    ------
    DataError
        If there are no images, labels do not match, or a batch is something else.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.batches import as_batches
    >>> [len(x) for x, _ in as_batches((torch.zeros(5, 3, 8, 8), torch.zeros(5).long()), 2)]
    [2, 2, 1]
    """
    require_count(batch_size, 1, "batch_size, the images per batch,", DataError)
    if isinstance(data, ImageData):
        data = data.train
    if isinstance(data, Images):
        return iter(data.batches(batch_size))
    if isinstance(data, Tensor):
        return _split(*_validated(data, None), batch_size)
    if isinstance(data, tuple | list) and len(data) == 2 and all(map(_is_tensor, data)):
        return _split(*_validated(*data), batch_size)
    if not isinstance(data, Iterable) or isinstance(data, str):
        raise DataError(
            f"data are images, tensors or an iterable of batches, not {type(data).__name__}"
        )
    return map(_one, data)


def count(data: Data, batch_size: int) -> int | None:
    """How many batches `as_batches` makes of data; None where only a pass would tell.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.batches import count
    >>> count(torch.zeros(5, 3, 8, 8), 2), count(iter([]), 2)
    (3, None)
    """
    if isinstance(data, tuple | list) and len(data) == 2 and all(map(_is_tensor, data)):
        data = data[0]
    if isinstance(data, ImageData):
        data = data.train
    if isinstance(data, Images | Tensor):
        return -(-len(data) // batch_size)
    return len(data) if isinstance(data, Sized) else None


def labels_of(data: Data) -> Tensor | None:
    """All labels of data; None where there are none, or where only a pass would tell.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.batches import labels_of
    >>> labels_of((torch.zeros(2, 3, 8, 8), torch.tensor([3, 1])))
    tensor([3, 1])
    """
    if isinstance(data, ImageData):
        data = data.train
    if isinstance(data, Images):
        return data.labels
    if not isinstance(data, tuple | list) or not data:
        return None
    if len(data) == 2 and all(map(_is_tensor, data)):
        return data[1]
    labels = [batch[1] for batch in data if isinstance(batch, tuple | list) and len(batch) == 2]
    known = len(labels) == len(data) and all(map(_is_tensor, labels))
    return torch.cat([*labels]) if known else None


def within_memory(data: Data | None, device: Device) -> Device:
    """The device for a pass over data, for a `Placement` that would run it again on the CPU.

    A generator gives its batches once: what it gave before memory ran out cannot be had again,
    so that device is final.

    Examples
    --------
    >>> within_memory([], "auto"), within_memory(iter([]), "cpu")
    ('auto', device(type='cpu'))
    """
    return resolve_device(device) if isinstance(data, Iterator) else device


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _split(images: Tensor, labels: Tensor | None, batch_size: int) -> Iterator[Batch]:
    for at in range(0, len(images), batch_size):
        part = slice(at, at + batch_size)
        yield images[part], None if labels is None else labels[part]


def _one(batch: object) -> Batch:
    if isinstance(batch, Tensor):
        return _validated(batch, None)
    if isinstance(batch, tuple | list) and len(batch) == 2 and all(map(_is_tensor, batch)):
        return _validated(*batch)
    raise DataError(
        f"a batch is a tensor of images or a pair (images, labels), not {type(batch).__name__}"
    )


def _validated(images: Tensor, labels: Tensor | None) -> Batch:
    if not images.is_floating_point():
        raise DataError(
            f"images for a model are floating point and normalised, not {images.dtype}; "
            "cwda.models.Images normalises bytes"
        )
    if images.ndim < 2 or len(images) == 0:
        raise DataError(f"no images: a tensor of shape {tuple(images.shape)}")
    if not bool(images.isfinite().all()):
        raise DataError("some pixels are NaN or infinite; remove those images")
    if labels is None:
        return images, None
    return images, class_labels(labels, len(images))
