"""Weights with an axis more than their convolution: modulated, of several experts, stacked.

Modulated convolutions (StyleGAN2) keep (1, filters, channels, k, k), dynamic ones one kernel
for each expert, and JAX all layers of a loop in one array. Read by their number of axes they
would be kernels of volumes that no network has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor
from cwda.layers import matches

__all__ = ["without_stacks"]

#: Longest side of a plane's kernel, and of a volume's along time, as far as networks go.
_SIDE, _TIME = 11, 7
#: Most experts, and fewest filters of one of them.
_EXPERTS, _FILTERS = 16, 8
#: So many channels are not a side of a kernel, even for one position.
_CHANNELS = 16

_PLANE = re.compile(r"2d|modulated", re.IGNORECASE)
_LOOP = re.compile(r"(^|[./,_])(layer_stack|scan(ned)?|scan_layers?)([./,_\d]|$)", re.IGNORECASE)

_DROPPED = "a modulated convolution: its first axis, of size one, is left out"


def without_stacks(
    tensors: Sequence[NamedTensor], layout: str | Mapping[str, str] | None
) -> list[NamedTensor]:
    """Drop the first axis of modulated weights, and give stacked ones a reason to be left out.

    A `layout` of the user's that covers a tensor is believed instead.
    """
    open_ = [
        len(t.shape) == 5 and t.is_conv is None and t.stored is None and not t.reason
        for t in tensors
    ]
    if not any(open_) or isinstance(layout, str):
        return list(tensors)
    five = [tensor for tensor, is_open in zip(tensors, open_, strict=True) if is_open]
    plane = _planes(five, tensors)
    volumes = any(t.shape[0] > _EXPERTS and 1 < t.shape[2] <= _TIME for t in five)
    firsts = {t.shape[0] for t in five if id(t) in plane or (not volumes and _has_experts(t))}
    result = []
    for tensor, is_open in zip(tensors, open_, strict=True):
        if is_open and not _is_told(tensor, layout):
            tensor = _without_stack(tensor, firsts, volumes and id(tensor) not in plane)
        result.append(tensor)
    return result


def _without_stack(tensor: NamedTensor, firsts: set[int], volume: bool) -> NamedTensor:
    first = tensor.shape[0]
    if split_leaf(tensor.name)[1] in ("w", "kernel"):
        return _without_loop(tensor)
    if first not in firsts or volume or tensor.shape[-1] != tensor.shape[-2]:
        return tensor
    if first == 1:
        return replace(tensor, shape=tensor.shape[1:], read=_first_of(tensor), assumption=_DROPPED)
    return replace(
        tensor,
        reason=f"{first} kernels of experts in one weight (a dynamic convolution mixes them for "
        "each input); layout= says if it is a convolution over volumes",
    )


def _first_of(tensor: NamedTensor) -> Callable[[], Tensor]:
    return lambda: tensor.read()[0].contiguous()


def _without_loop(tensor: NamedTensor) -> NamedTensor:
    """Refuse the kernels of all layers of a loop, as JAX keeps them: (layers, k, k, I, O)."""
    layers, height, width, inputs, outputs = tensor.shape
    usual = (1, 2, 3, 5, 7, height)
    alike = height == width <= _SIDE and inputs == outputs > _CHANNELS and layers not in usual
    if not (alike or _LOOP.search(tensor.path)):
        return tensor
    return replace(
        tensor,
        reason=f"{layers} layers of a loop in one array; save each by itself, or layout= says "
        "if it is a convolution over volumes",
    )


def _planes(five: Sequence[NamedTensor], tensors: Sequence[NamedTensor]) -> set[int]:
    """The `id` of each weight that belongs to a convolution of planes by name or shape."""
    modulated = {
        tensor.path.rpartition(".modulation.")[0]
        for tensor in tensors
        if ".modulation." in tensor.path
    }
    return {
        id(tensor)
        for tensor in five
        if split_leaf(tensor.path)[0] in modulated
        or (tensor.shape[0] <= _EXPERTS and _PLANE.search(tensor.origin.rpartition(".")[2]))
        or (tensor.shape[0] == 1 and _is_modulated(tensor))
    }


def _is_modulated(tensor: NamedTensor) -> bool:
    named = _PLANE.search(split_leaf(tensor.path)[0].rpartition(".")[2])
    return bool(named) or (_is_plane(tensor) and tensor.shape[2] > _CHANNELS)


def _has_experts(tensor: NamedTensor) -> bool:
    experts, filters, channels, _, side = tensor.shape
    least = _FILTERS if side > 1 else _CHANNELS + 1
    several = 1 < experts <= _EXPERTS and filters >= _FILTERS
    return several and _is_plane(tensor) and channels >= least and channels != side


def _is_plane(tensor: NamedTensor) -> bool:
    return tensor.shape[-2] == tensor.shape[-1] <= _SIDE


def _is_told(tensor: NamedTensor, layout: str | Mapping[str, str] | None) -> bool:
    if not isinstance(layout, Mapping):
        return False
    stems = {split_leaf(tensor.path)[0], split_leaf(tensor.name)[0]}
    return any(matches(stem, str(pattern)) for pattern in layout for stem in stems)
