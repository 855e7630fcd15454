"""The datasets of an HDF5 file, found without following links and without reading them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch

from cwda.containers.archives import MAX_EXPANSION
from cwda.containers.tensors import NameBudget, printable
from cwda.errors import UnreadableError, reason_of
from cwda.layers import Skipped

__all__ = [
    "Dataset",
    "Stored",
    "attribute_of",
    "damaged",
    "list_attribute",
    "stored_in",
    "top_groups",
]

_MAX_DEPTH = 32
#: Each takes the HDF5 library a fraction of a millisecond to open.
_MAX_MEMBERS = 20_000
#: Most parts that a list of names too long for one attribute is split into.
_MAX_PARTS = 10_000


@dataclass(frozen=True, eq=False)
class Dataset:
    """An array of the file, not yet read, and the names on the way to it."""

    path: tuple[str, ...]
    data: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape as stored."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of its elements; None where torch has none for them."""
        import numpy as np

        if _is_bfloat16(self.data):
            return torch.bfloat16
        try:
            return torch.from_numpy(np.empty(0, self.data.dtype.newbyteorder("="))).dtype
        except TypeError:
            return None

    def read(self) -> torch.Tensor:
        """Its values, in memory of their own."""
        import numpy as np

        try:
            values = self.data[()]
        except (OSError, RuntimeError, ValueError) as error:
            raise damaged(error) from None
        if _is_bfloat16(self.data):
            return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))


@dataclass
class Stored:
    """What lies in a file.

    Attributes
    ----------
    datasets : list of Dataset
    layers : dict
        Path of every group with a group ``vars``, as Keras 3 makes for each layer, and the
        layer's own name, which later versions state.
    ranks : dict
        Paths of variables in the order of the file's lists of weights.
    skipped : list of Skipped
    """

    datasets: list[Dataset] = field(default_factory=list)
    layers: dict[tuple[str, ...], str] = field(default_factory=dict)
    ranks: dict[tuple[str, ...], int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    members: int = 0
    names: NameBudget = field(default_factory=NameBudget)


def damaged(error: Exception) -> UnreadableError:
    """The error of a file that the HDF5 library cannot read, in one line."""
    return UnreadableError(
        f"the HDF5 file is damaged ({reason_of(error)}); download or copy it again"
    )


def stored_in(root: Any, size: int, stored: Stored) -> None:
    """Add all datasets of a file of `size` bytes, its layers and lists.

    Raises
    ------
    UnreadableError
        If it has more groups or deeper ones than any Keras model.
    """
    stored.datasets += _datasets(root, (), stored, size)


def top_groups(root: Any) -> list[Any]:
    """The file's top and the group of the model's weights, which state names and version."""
    import h5py

    inside = "model_weights" in root and root.get("model_weights", getlink=True)
    if isinstance(inside, h5py.HardLink) and isinstance(root["model_weights"], h5py.Group):
        return [root, root["model_weights"]]
    return [root]


def _datasets(group: Any, path: tuple[str, ...], stored: Stored, size: int) -> Iterator[Dataset]:
    import h5py

    if len(path) > _MAX_DEPTH:
        raise UnreadableError(f"groups are nested more than {_MAX_DEPTH} deep; refused")
    for name in list_attribute(group, "weight_names"):
        stored.names.spend(len(name))
        stored.ranks.setdefault((*path, *name.split("/")), len(stored.ranks))
    for key in group:
        here = (*path, printable(key))
        stored.members += 1
        if stored.members > _MAX_MEMBERS:
            raise UnreadableError(
                f"more than {_MAX_MEMBERS:,} groups and datasets, which no Keras model needs; "
                "save the weights alone"
            )
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            stored.skipped.append(Skipped("/".join(here), (), "a link, which is not followed"))
            continue
        item = group[key]
        if isinstance(item, h5py.Group):
            if key == "vars" and _are_numbers(item):
                stored.layers[path] = printable(attribute_of(item, "name"))
            yield from _datasets(item, here, stored, size)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            if reason := _unsafe(item, size):
                stored.skipped.append(Skipped("/".join(here), tuple(item.shape), reason))
            else:
                stored.names.spend(sum(map(len, here)))
                yield Dataset(here, item)


def _are_numbers(group: Any) -> bool:
    """Whether a group ``vars`` is that of Keras 3, not of a layer called so."""
    return all(name.isdecimal() for name in islice(group, _MAX_MEMBERS))


def _unsafe(data: Any, size: int) -> str:
    if data.is_virtual or data.external:
        return "its data lie in another file, which is not opened"
    if data.dtype.kind not in "fiub" and not _is_bfloat16(data):
        return f"elements of type {data.dtype}"
    limit = size * (MAX_EXPANSION if data.compression else 1)
    if data.nbytes > limit:
        return f"it announces {data.nbytes:,} bytes in a file of {size:,}"
    return ""


def _is_bfloat16(data: Any) -> bool:
    """Whether these are two bytes without a type: so Keras writes bfloat16, which HDF5 lacks."""
    return bool(data.dtype.kind == "V" and data.dtype.itemsize == 2 and not data.dtype.names)


def list_attribute(group: Any, name: str) -> list[str]:
    """A list of names, which Keras splits where it is too long for one attribute."""
    if name in group.attrs:
        return [printable(_text(item)) for item in group.attrs[name]]
    names: list[str] = []
    for part in range(_MAX_PARTS):
        if f"{name}{part}" not in group.attrs:
            break
        names += [printable(_text(item)) for item in group.attrs[f"{name}{part}"]]
    return names


def attribute_of(group: Any, name: str) -> str:
    """An attribute as text; empty if there is none."""
    return _text(group.attrs[name]) if name in group.attrs else ""


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
