"""Run parts of a user's network and leave it, and the random state, as they were."""

from __future__ import annotations

import contextlib
import functools
import random
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import grad_mode

__all__ = ["left_as_it_was", "random_state_kept"]

#: Nested containers inside a module's attributes are put back down to this depth.
_DEPTH = 3


@contextlib.contextmanager
def left_as_it_was(part: nn.Module) -> Iterator[None]:
    """Undo, at the end, whatever happens to a module inside the block.

    Attributes, parameters, buffers, hooks and the values of tensors are put back, of the
    module, of the modules inside it and of the objects that its hooks belong to.
    """
    undo = _Undo()
    for module in part.modules():
        undo.module(module)
    for hook in (*part._forward_pre_hooks.values(), part.__dict__.get("forward")):
        undo.owner(hook)
    cache = getattr(nn.utils.parametrize, "_cache", None)
    undo.remember(cache)
    try:
        yield
    finally:
        undo.all()


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Put the random states of torch, numpy and Python back at the end of the block."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(list(devices)):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002


class _Undo:
    """What has to be done to put objects back, each taken once."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], None]] = []
        self._seen: dict[int, object] = {}

    def all(self) -> None:
        for step in reversed(self._steps):
            step()

    def module(self, module: nn.Module) -> None:
        """A module's own attributes and tensors, without the modules inside it."""
        self.remember(vars(module))

    def owner(self, hook: object) -> None:
        """The object or the enclosing function's variables that a hook may change."""
        if isinstance(hook, functools.partial):
            for part in (hook.func, *hook.args, *hook.keywords.values()):
                self.owner(part)
        elif isinstance(hook, types.MethodType):
            self.owner(hook.__self__)
        elif isinstance(hook, types.FunctionType):
            for cell in hook.__closure__ or ():
                self._cell(cell)
        elif hasattr(hook, "__dict__") and not isinstance(hook, type | types.ModuleType):
            self.remember(vars(hook))

    def _cell(self, cell: types.CellType) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # not bound yet
            return
        self._steps.append(lambda: setattr(cell, "cell_contents", value))
        self.remember(value)
        if not isinstance(value, types.FunctionType | types.MethodType):
            self.owner(value)

    def remember(self, value: Any, depth: int = 0) -> None:
        if id(value) in self._seen or depth > _DEPTH:
            return
        if isinstance(value, Tensor):
            self._seen[id(value)] = value
            self._tensor(value)
        elif isinstance(value, dict):
            self._seen[id(value)] = value
            items = dict(value)
            self._steps.append(lambda: _refill(value, items))
            for item in items.values():
                self.remember(item, depth + 1)
        elif isinstance(value, list | set):
            self._seen[id(value)] = value
            self._items(value)
            for item in list(value):
                self.remember(item, depth + 1)

    def _items(self, value: list[Any] | set[Any]) -> None:
        kept = value.copy()
        self._steps.append(lambda: _refill(value, kept))

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.is_meta or type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            return
        if tensor.layout != torch.strided or tensor.is_inference():
            return
        # `alias` keeps the memory of a tensor whose `data` a hook replaces.
        alias, values = tensor.data, tensor.detach().clone()
        # A graph that saved the tensor could not go backward after a new version.
        version = grad_mode._unsafe_preserve_version_counter(tensor)

        def put_back() -> None:
            if tensor.data_ptr() != alias.data_ptr() or tensor.shape != alias.shape:
                tensor.data = alias
            if not _same_bits(alias, values):
                alias.copy_(values)
            version.__exit__(None, None, None)

        self._steps.append(put_back)


def _refill(container: Any, content: Any) -> None:
    container.clear()
    container.extend(content) if isinstance(container, list) else container.update(content)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, NaN and the sign of zero included."""
    flat = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*flat)
