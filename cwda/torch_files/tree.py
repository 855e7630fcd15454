"""Walk nested containers, dead records of modules and lists down to their tensors."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from cwda.containers.pickles import Record
from cwda.containers.storages import QUANTISED, Opaque, StridedTensor
from cwda.containers.tensors import NameBudget, NamedTensor, printable
from cwda.errors import UnreadableError
from cwda.torch_files.objects import LateTensor, NumpyArray

__all__ = ["walk", "with_aliases"]

MAX_DEPTH = 100
#: Most further names of tensors that are kept, against files that repeat containers.
MAX_ALIASES = 10_000
_CONV = re.compile(r"(Lazy)?Conv(Transpose)?[123]d")
_MODULE_DICTS = ("_parameters", "_buffers", "_modules")


def walk(value: object) -> list[NamedTensor]:
    """All tensors inside `value`, in order, each container visited once.

    Dictionaries and lists give the keys of a tensor's container; the path of modules
    inside a pickled module gives its dotted name, as in PyTorch's state dict.

    Raises
    ------
    UnreadableError
        If the nesting is deeper than a checkpoint's ever is.
    """
    walker = _Walker()
    walker.visit(value, ())
    return with_aliases(walker.tensors, walker.again)


def with_aliases(
    tensors: list[NamedTensor], again: list[tuple[int, int, str, str]]
) -> list[NamedTensor]:
    """Tell the tensors of containers that appear again their further paths.

    Parameters
    ----------
    tensors : list of NamedTensor
    again : list of (start, end, first, further)
        The container's tensors are ``tensors[start:end]``; the paths that lead to it.
    """
    result, left = list(tensors), MAX_ALIASES
    for start, end, first, further in again:
        left -= end - start
        if left < 0:
            break
        for index in range(start, end):
            alias = f"{further}{result[index].path[len(first) :]}"
            result[index] = replace(result[index], also=(*result[index].also, alias))
    return result


@dataclass
class _Walker:
    tensors: list[NamedTensor] = field(default_factory=list)
    #: First and last place in `tensors` of each container, and its path; no end while inside it.
    places: dict[int, tuple[int, int | None, str]] = field(default_factory=dict)
    again: list[tuple[int, int, str, str]] = field(default_factory=list)
    names: NameBudget = field(default_factory=NameBudget)

    def visit(self, value: object, container: tuple[str, ...], depth: int = 0) -> None:
        """Walk a container whose keys are not part of a module's name."""
        if self._passed(value, depth, container):
            return
        value = _bare(value) if container else value
        if isinstance(value, Record):
            self._record(value, container, "", depth)
            self._leave(value)
            return
        if _is_leaf(value):
            name = container[-1] if container else "tensor"
            self._take(value, name, container[:-1], {})
            return
        for key, item in _items(value):
            self.visit(item, (*container, printable(key)), depth + 1)
        self._leave(value)

    def _record(self, record: Record, container: tuple[str, ...], prefix: str, depth: int) -> None:
        """Walk a pickled module: its own tensors get its class's hints."""
        state = record.state
        parts = list(state) if isinstance(state, tuple) else [state]
        hints = _hints(record)
        for index, part in enumerate((*parts, record.entries)):
            if _is_leaf(part):  # quantised modules keep a tuple of all they have
                name = "weight" if ".quantized." in record.type else str(index)
                self._member(part, container, f"{prefix}{name}", depth, hints)
            for key, item in _items(part):
                if key in _MODULE_DICTS:
                    for inner, tensor in _items(item):
                        self._member(tensor, container, prefix + printable(inner), depth, hints)
                else:
                    self._member(item, container, prefix + printable(key), depth, hints)
        for index, item in enumerate((*record.args, *record.items)):
            self._member(item, container, f"{prefix}{index}", depth, {})

    def _member(
        self,
        value: object,
        container: tuple[str, ...],
        name: str,
        depth: int,
        hints: dict[str, Any],
    ) -> None:
        value = _bare(value)
        if _is_leaf(value):
            own = hints if name.rpartition(".")[2].startswith("weight") else {}
            self._take(value, name, container, own)
        elif isinstance(value, Record):
            if not self._passed(value, depth + 1, (*container, name)):
                self._record(value, container, f"{name}.", depth + 1)
                self._leave(value)
        elif not self._passed(value, depth + 1, (*container, name)):
            for key, item in _items(value):
                self._member(item, container, f"{name}.{printable(key)}", depth + 1, {})
            self._leave(value)

    def _take(
        self, value: Any, name: str, container: tuple[str, ...], hints: dict[str, Any]
    ) -> None:
        self.names.spend(len(name) + sum(map(len, container)))
        self.tensors.append(_named(value, name, container, **hints))

    def _passed(self, value: object, depth: int, path: tuple[str, ...]) -> bool:
        """Whether a container was visited before; a leaf may appear under several names."""
        if depth > MAX_DEPTH:
            raise UnreadableError(
                f"containers are nested more than {MAX_DEPTH} deep; save the state dict alone"
            )
        if not isinstance(value, Mapping | list | tuple | Record | LateTensor) or _is_leaf(value):
            return False
        place = self.places.get(id(value))
        if place is None:
            self.places[id(value)] = (len(self.tensors), None, ".".join(path))
            return False
        start, end, first = place
        if end is not None and end > start and len(self.again) < MAX_ALIASES:
            further = ".".join(path)
            self.names.spend(len(further) * (end - start))
            self.again.append((start, end, first, further))
        return True

    def _leave(self, value: object) -> None:
        """Note where the tensors of a container end."""
        if id(value) in self.places:
            start, _, path = self.places[id(value)]
            self.places[id(value)] = (start, len(self.tensors), path)


def _items(value: object) -> list[tuple[object, object]]:
    """Keys and values of a container; nothing for anything else."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, LateTensor):
        value = value.objects()
    if isinstance(value, list | tuple):
        return [(item[0], item[1]) if _is_pair(item) else (n, item) for n, item in enumerate(value)]
    return []


def _is_leaf(value: object) -> bool:
    if isinstance(value, LateTensor):
        return value.objects() is None
    return isinstance(value, Tensor | np.ndarray | StridedTensor | Opaque)


def _is_pair(value: object) -> bool:
    """Whether this is a tensor with its name before it, as in lists of pairs and in Paddle."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and isinstance(value[0], str | bytes) and _is_leaf(value[1])  # type: ignore[index]


def _bare(value: object) -> object:
    """The tensor of a pair, which its key names already; anything else as it is."""
    inner = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    return inner[1] if _is_pair(inner) else value  # type: ignore[index]


def _hints(record: Record) -> dict[str, Any]:
    """What the class of a pickled module tells of its weight."""
    attributes: dict[Any, Any] = record.state if isinstance(record.state, dict) else {}
    kind = record.type.rpartition(".")[2]
    hints: dict[str, Any] = {"origin": record.type}
    groups, transposed = attributes.get("groups"), attributes.get("transposed")
    if _CONV.fullmatch(kind) or ("kernel_size" in attributes and "groups" in attributes):
        hints["is_conv"] = True
        hints["transposed"] = transposed if isinstance(transposed, bool) else "Transpose" in kind
        if isinstance(groups, int) and groups > 0:
            hints["groups"] = groups
    elif record.type.startswith(("torch.nn.modules.", "__torch__.torch.nn.modules.")):
        hints["is_conv"] = False
    return hints


def _named(
    value: Tensor | np.ndarray[Any, Any] | StridedTensor | Opaque | LateTensor,
    name: str,
    container: tuple[str, ...],
    **hints: Any,
) -> NamedTensor:
    if isinstance(value, np.ndarray | NumpyArray):
        hints["convention"] = "numpy"  # where every library's weights can end
    storage: Hashable = None
    if isinstance(value, np.ndarray):
        start = value.__array_interface__["data"][0]
        storage = (start, value.dtype.str, value.shape, value.strides) if value.size else None
        value = _from_numpy(value)
    if isinstance(value, Tensor):
        tensor = value.detach()
        return NamedTensor(
            name,
            tuple(value.shape),
            value.dtype,
            lambda: tensor.cpu().clone(memory_format=torch.contiguous_format),
            container,
            reason=_unreadable(value),
            storage=_place(value) if storage is None else storage,
            **hints,
        )
    leaf = value.leaf() if isinstance(value, LateTensor) else value
    if isinstance(leaf, StridedTensor):
        storage = id(value) if isinstance(value, LateTensor) else leaf.place
    return NamedTensor(
        name,
        leaf.shape,
        leaf.dtype,
        leaf.read,
        container,
        reason=leaf.reason,
        storage=storage,
        **hints,
    )


def _unreadable(tensor: Tensor) -> str:
    """Why a tensor in memory has no values that can be read; empty if it has."""
    if tensor.is_meta:
        return "a meta tensor: it holds no values"
    if tensor.is_quantized:
        return QUANTISED
    if tensor.layout != torch.strided:
        return "a sparse tensor"
    if is_traceable_wrapper_subclass(tensor):
        kind = type(tensor).__name__
        return f"a tensor of type {kind}, whose values are kept in parts; give a plain tensor"
    return ""


def _place(tensor: Tensor) -> Hashable:
    """Where the elements of a tensor in memory lie."""
    if _unreadable(tensor) or not tensor.numel():
        return None
    start = tensor.untyped_storage().data_ptr()
    offset = tensor.storage_offset()
    return (start, str(tensor.device), offset, tensor.dtype, tuple(tensor.shape), tensor.stride())


def _from_numpy(array: np.ndarray[Any, Any]) -> Tensor | Opaque:
    try:
        return torch.from_numpy(np.array(array.astype(array.dtype.newbyteorder("="))))
    except (TypeError, ValueError):
        return Opaque(array.shape, None, f"elements of type {array.dtype}, which torch lacks")
