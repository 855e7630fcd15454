"""Which parameters a tensor was computed from, followed through the calls of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["Lineage", "same_memory"]

#: How deep tensors are looked for in lists of arguments.
_DEPTH = 3


class Lineage:
    """Names of the roots that each tensor comes from.

    Tensors in the same memory are one: views, and results of changes in place. What code
    outside Python's view computes (compiled functions, numpy) has no lineage.
    """

    def __init__(self, roots: Mapping[str, Tensor]) -> None:
        self._names: dict[int, frozenset[str]] = {}
        self._kept: list[Tensor] = []  # so that no memory is used again
        for name, tensor in roots.items():
            self.add(tensor, frozenset({name}))

    def add(self, tensor: Tensor, names: frozenset[str]) -> None:
        """Note that a tensor comes from roots, besides those that are known."""
        key = _memory(tensor)
        self._names[key] = self._names.get(key, frozenset()) | names
        self._kept.append(tensor)

    def of(self, *values: Any) -> frozenset[str]:
        """The roots of all tensors among the values."""
        found = (self._names.get(_memory(tensor)) for tensor in _tensors(values))
        return frozenset().union(*(names for names in found if names))

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Note what a call has made of its arguments."""
        name = getattr(func, "__name__", "")
        if name.endswith("_like") or name.startswith("new_"):
            args = args[1:]  # only the form of the first is used
        names = self.of(args, list(kwargs.values()))
        if not names:
            return
        changed = args[:1] if result is None or name.endswith("_") else ()
        for tensor in _tensors((result, changed, kwargs.get("out"))):
            self.add(tensor, names)


def same_memory(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors lie in the same memory."""
    return _memory(one) == _memory(other)


def _tensors(value: Any, depth: int = 0) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple) and depth <= _DEPTH:
        for item in value:
            yield from _tensors(item, depth + 1)


def _memory(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except Exception:  # tensors made of others have no memory of their own
        return id(tensor)
