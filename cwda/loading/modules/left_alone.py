"""Run parts of a user's network and leave it, and the random state, as they were."""

from __future__ import annotations

import argparse
import contextlib
import functools
import random
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import grad_mode

__all__ = ["Kept", "left_as_it_was", "random_state_kept"]

#: Nested containers inside a module's attributes are put back down to this depth.
_DEPTH = 3
#: Libraries whose objects are not opened, for they may be shared by the whole process, and
#: their plain containers, which are.
_LIBRARIES = sys.stdlib_module_names | {"torch", "numpy"}
_PLAIN = (types.SimpleNamespace, argparse.Namespace)


@contextlib.contextmanager
def left_as_it_was(part: nn.Module) -> Iterator[Kept]:
    """Undo, at the end, whatever happens to a module inside the block.

    Attributes, parameters, buffers, gradients, hooks, the values of tensors and arrays, and
    random states are put back, of the module, of the modules inside it and of the objects
    that it or its hooks hold.
    """
    undo = Kept()
    for module in part.modules():
        undo.module(module)
    for hook in (*part._forward_pre_hooks.values(), part.__dict__.get("forward")):
        undo.owner(hook)
    cache = getattr(nn.utils.parametrize, "_cache", None)
    undo.remember(cache)
    try:
        yield undo
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


class Kept:
    """What has to be done to put objects back, each taken once."""

    def __init__(self) -> None:
        #: Random states of now, and what reads them.
        self._states: list[tuple[Callable[[], Any], Any]] = []
        for read in (torch.get_rng_state, random.getstate, np.random.get_state):
            self._states.append((read, read()))
        self._steps: list[Callable[[], None]] = []
        self._seen: dict[int, object] = {}

    def all(self) -> None:
        for step in reversed(self._steps):
            step()

    def random_numbers_drawn(self) -> bool:
        """Whether a random state is another than at the beginning."""
        return any(not _same(read(), state) for read, state in self._states)

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
            self._inside(items.values(), depth)
        elif isinstance(value, list | set | deque):
            self._seen[id(value)] = value
            self._items(value)
            self._inside(list(value), depth)
        elif isinstance(value, tuple):
            self._inside(value, depth)
        elif isinstance(value, np.ndarray):
            self._seen[id(value)] = value
            self._array(value)
        elif self._generator(value):
            self._seen[id(value)] = value
        elif _is_opened(value):
            self._seen[id(value)] = value
            self.remember(vars(value), depth)

    def _inside(self, items: Iterable[Any], depth: int) -> None:
        for item in items:
            self.remember(item, depth + 1)

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        values = array.copy()

        def put_back() -> None:
            if array.shape == values.shape and array.flags.writeable:
                array[...] = values

        self._steps.append(put_back)

    def _generator(self, value: Any) -> bool:
        """Keep the state of a generator of random numbers; whether it is one."""
        read: Callable[[], Any]
        put: Callable[[Any], Any]
        if isinstance(value, torch.Generator):
            read, put = value.get_state, value.set_state
        elif isinstance(value, np.random.Generator):
            bits = value.bit_generator
            read, put = (lambda: bits.state), (lambda state: setattr(bits, "state", state))
        elif isinstance(value, np.random.RandomState):
            read, put = value.get_state, value.set_state
        elif isinstance(value, random.Random):
            read, put = value.getstate, value.setstate
        else:
            return False
        state = read()
        self._states.append((read, state))
        self._steps.append(lambda: _call(put, state))
        return True

    def _items(self, value: list[Any] | set[Any] | deque[Any]) -> None:
        kept = value.copy()
        self._steps.append(lambda: _refill(value, kept))

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.is_meta or type(tensor) not in (Tensor, nn.Parameter, nn.Buffer):
            return
        if tensor.layout != torch.strided or tensor.is_inference():
            return
        if tensor.is_leaf:
            self._gradient(tensor)
        self.remember(vars(tensor), _DEPTH)
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

    def _gradient(self, tensor: Tensor) -> None:
        gradient, required = tensor.grad, tensor.requires_grad
        if gradient is not None:
            self.remember(gradient, _DEPTH)

        def put_back() -> None:
            tensor.requires_grad_(required)
            if tensor.grad is not gradient:
                tensor.grad = gradient

        self._steps.append(put_back)


def _call(function: Callable[[Any], Any], value: Any) -> None:
    function(value)


def _is_opened(value: object) -> bool:
    """Whether an object's attributes are put back: of plain objects, not of parts or code."""
    if not hasattr(value, "__dict__") or isinstance(value, nn.Module | type):
        return False
    library = type(value).__module__.partition(".")[0]
    return isinstance(value, _PLAIN) or library not in _LIBRARIES


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, dict) and _is_unchanged(container, content):
        return
    container.clear()
    ordered = isinstance(container, list | deque)
    container.extend(content) if ordered else container.update(content)


def _is_unchanged(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    pairs = zip(one.items(), other.items(), strict=False)
    return len(one) == len(other) and all(a is c and b is d for (a, b), (c, d) in pairs)


def _same(one: Any, other: Any) -> bool:
    """Whether two random states are equal: arrays, tensors, and containers of them."""
    if isinstance(one, Tensor | np.ndarray):
        return bool((one == other).all())
    if isinstance(one, dict):
        return all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple):
        return all(map(_same, one, other))
    return bool(one == other)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal, NaN and the sign of zero included."""
    flat = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*flat)
