"""Tell the kernels of linear layers that have axes more from convolutions.

JAX keeps attention's projections with an axis for the heads, and the layers of a loop (flax's
``scan``) in one array with an axis for the layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor

__all__ = ["not_convolutions"]

_PARTS = frozenset({"query", "key", "value"})
_PROJECTION = re.compile(
    r"((q|k|v|o|qkv|kv|query|key|value)_?proj|proj_?(q|k|v|qkv|kv)|to_?(q|k|v|kv|qkv|out)|w?qkv|"
    r"\w*einsum)(_\d+)?|c_attn",
    re.IGNORECASE,
)
_OUTPUT = re.compile(r"(out(put)?_?)?proj(_out|ection)?|out(_\w+)?|c_proj|o", re.IGNORECASE)
_LINEAR = re.compile(
    r"(dense(general)?|linear|fc|mlp|wi|wo|(gate|up|down)_proj|lm_head|logits)(_?\d+)*",
    re.IGNORECASE,
)
_SMALL = frozenset({"bias", "b", "scale", "offset", "gamma", "beta"})
#: Longest side of a kernel; an axis of features is longer.
_SIDE = 16
#: Modules above a kernel whose biases and normalisations tell that layers are stacked.
_ABOVE = 3

_ATTENTION = "a projection of attention, not a convolution's weight"
_DENSE = "a linear layer's kernel, of several layers or heads"
_LOOP = "the kernels of {} layers of a loop in one array; save each by itself"


def not_convolutions(tensors: Sequence[NamedTensor]) -> dict[int, str]:
    """Why a kernel is none of a convolution, by the `id` of its tensor."""
    kernels = [
        tensor
        for tensor in tensors
        if len(tensor.shape) >= 3
        and tensor.is_conv is None
        and split_leaf(tensor.name)[1] in ("kernel", "w")
    ]
    if not kernels:
        return {}
    projections = _projections(kernels)
    loops = _loops(tensors)
    parents = {split_leaf(split_leaf(t.path)[0])[0] for t in kernels if id(t) in projections}
    reasons = {}
    for tensor in kernels:
        reason = _reason(tensor, projections, parents, loops)
        if reason:
            reasons[id(tensor)] = reason
    return reasons


def _reason(
    tensor: NamedTensor, projections: set[int], parents: set[str], loops: Mapping[str, int]
) -> str:
    parent, module = split_leaf(split_leaf(tensor.path)[0])
    if id(tensor) in projections or (
        parent in parents and _OUTPUT.fullmatch(module) and not _is_square(tensor)
    ):
        return _ATTENTION
    if _LINEAR.fullmatch(module) and not _is_square(tensor):
        return _DENSE
    layers = tensor.shape[0]
    if layers > 1 and any(loops.get(above) == layers for above in _above(tensor.path)):
        return _LOOP.format(layers)
    return ""


def _projections(kernels: Sequence[NamedTensor]) -> set[int]:
    """The `id` of each kernel of an attention's query, key or value, together or by its name.

    They have the axes (features, heads, size), and one for the layers before them.
    """
    modules: dict[str, dict[str, NamedTensor]] = {}
    named = set()
    for tensor in kernels:
        parent, part = split_leaf(split_leaf(tensor.path)[0])
        modules.setdefault(parent, {})[part] = tensor
        if _PROJECTION.fullmatch(part) and not _is_square(tensor):
            long = tensor.shape[0] > _SIDE or len(tensor.shape) > 3
            named |= {id(tensor)} if long or "einsum" in part else set()
    together = {
        id(parts[part])
        for parts in modules.values()
        if parts.keys() >= _PARTS and not _is_square(parts["query"])
        for part in _PARTS
    }
    return named | together


def _is_square(tensor: NamedTensor) -> bool:
    """Whether it may be a kernel (*sides, inputs, outputs) of equal sides, such as one position."""
    sides = tensor.shape[:-2]
    return len(set(sides)) == 1 and (sides[0] == 1 or len(sides) > 1)


def _loops(tensors: Sequence[NamedTensor]) -> dict[str, int]:
    """Layers stacked below each module, as vectors of theirs with an axis more tell."""
    loops: dict[str, int] = {}
    for tensor in tensors:
        stem, leaf = split_leaf(tensor.path)
        if leaf in _SMALL and len(tensor.shape) == 2 and tensor.shape[0] > 1:
            for above in _above(f"{stem}/x"):
                loops.setdefault(above, tensor.shape[0])
    return loops


def _above(path: str) -> list[str]:
    """The modules above a tensor, its own first and the root left out."""
    modules = []
    for _ in range(_ABOVE):
        path = split_leaf(path)[0]
        if not path:
            break
        modules.append(path)
    return modules
