"""Tell attention's projections, which JAX keeps as kernels of three axes, from convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from cwda.extract.recognise import split_leaf
from cwda.extract.tensors import NamedTensor

__all__ = ["projections"]

_PARTS = frozenset({"query", "key", "value"})


def projections(tensors: Sequence[NamedTensor]) -> frozenset[int]:
    """The `id` of each kernel of an attention's query, key, value or output.

    They have the axes (features, heads, size) and (heads, size, features), and stand side by
    side under one name.
    """
    modules: dict[str, dict[str, NamedTensor]] = {}
    for tensor in tensors:
        module, leaf = split_leaf(tensor.path)
        if leaf == "kernel" and len(tensor.shape) == 3:
            parent, part = split_leaf(module)
            modules.setdefault(parent, {})[part] = tensor
    return frozenset(
        id(tensor)
        for parts in modules.values()
        if parts.keys() >= _PARTS
        for part, tensor in parts.items()
        if part in _PARTS or part == "out"
    )
