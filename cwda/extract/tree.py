"""Walk nested containers, dead records of modules and lists down to their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cwda.errors import UnreadableError
from cwda.extract.pickles import Record
from cwda.extract.tensors import NameBudget, NamedTensor, printable
from cwda.extract.torch_objects import LateTensor, NumpyArray
from cwda.extract.torch_storage import Opaque, StridedTensor

__all__ = ["walk"]

MAX_DEPTH = 100
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
    return walker.found


@dataclass
class _Walker:
    found: list[NamedTensor] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    names: NameBudget = field(default_factory=NameBudget)

    def visit(self, value: object, container: tuple[str, ...], depth: int = 0) -> None:
        """Walk a container whose keys are no part of a module's name."""
        if self._passed(value, depth):
            return
        value = _bare(value) if container else value
        if isinstance(value, Record):
            self._record(value, container, "", depth)
            return
        if _is_leaf(value):
            name = container[-1] if container else "tensor"
            self._take(value, name, container[:-1], {})
            return
        for key, item in _items(value):
            self.visit(item, (*container, printable(key)), depth + 1)

    def _record(self, record: Record, container: tuple[str, ...], prefix: str, depth: int) -> None:
        """Walk a pickled module: its own tensors get its class's hints."""
        state = record.state
        parts = list(state) if isinstance(state, tuple) else [state]
        hints = _hints(record)
        for index, part in enumerate(parts):
            if _is_leaf(part):  # a state of its own, as that of quantised layers
                self._member(part, container, f"{prefix}{index}", depth, {})
        for part in (*parts, record.entries):
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
            if not self._passed(value, depth + 1):
                self._record(value, container, f"{name}.", depth + 1)
        else:
            for key, item in [] if self._passed(value, depth + 1) else _items(value):
                self._member(item, container, f"{name}.{printable(key)}", depth + 1, {})

    def _take(
        self, value: Any, name: str, container: tuple[str, ...], hints: dict[str, Any]
    ) -> None:
        self.names.spend(len(name) + sum(map(len, container)))
        self.found.append(_named(value, name, container, **hints))

    def _passed(self, value: object, depth: int) -> bool:
        """Whether a container was visited before; a leaf may appear under several names."""
        if depth > MAX_DEPTH:
            raise UnreadableError(
                f"containers are nested more than {MAX_DEPTH} deep; save the state dict alone"
            )
        if not isinstance(value, Mapping | list | tuple | Record | LateTensor) or _is_leaf(value):
            return False
        if id(value) in self.seen:
            return True
        self.seen.add(id(value))
        return False


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
    if isinstance(value, np.ndarray):
        value = _from_numpy(value)
    if isinstance(value, Tensor):
        reason = ""
        if value.is_meta:
            reason = "a meta tensor: it holds no values"
        elif value.layout != torch.strided or value.is_quantized:
            reason = "a sparse or quantised tensor"
        tensor = value.detach()
        return NamedTensor(
            name,
            tuple(value.shape),
            value.dtype,
            lambda: tensor.cpu().clone(memory_format=torch.contiguous_format),
            container,
            reason=reason,
            **hints,
        )
    leaf = value.leaf() if isinstance(value, LateTensor) else value
    return NamedTensor(
        name, leaf.shape, leaf.dtype, leaf.read, container, reason=leaf.reason, **hints
    )


def _from_numpy(array: np.ndarray[Any, Any]) -> Tensor | Opaque:
    try:
        return torch.from_numpy(np.array(array.astype(array.dtype.newbyteorder("="))))
    except (TypeError, ValueError):
        return Opaque(array.shape, None, f"elements of type {array.dtype}, which torch lacks")
