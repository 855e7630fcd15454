"""Weights of one byte with their scales next to them: float8 and integers.

Quantisation for inference divides a weight by a scale, of the tensor, of each filter or of
blocks. Filters can only be compared after multiplying again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from cwda.containers.names import split_leaf
from cwda.containers.storages import QUANTISED
from cwda.containers.tensors import NamedTensor, VectorScale
from cwda.convolutions.adapters import is_adapter
from cwda.convolutions.scale_names import ABSMAX, NearbyScales, Neighbours

__all__ = ["along_axes", "apply_scales"]

#: Names of zero points, after the weight's own name or after its stem.
_ZERO_AFTER_WEIGHT = ("_zero_point", "_zero_points", "_zp", ".zero_point", "._zero_point")
_ZERO_AFTER_STEM = ("zero_point", "zero_points", "zeros", "w_zero_point")

_AXES = ("filter", "input channel")
_BLOCKS = (16, 32, 64, 128, 256, 512)
_AS_STORED = "8-bit floats as stored: no scale of theirs lies next to them"


def apply_scales(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Multiply weights of one byte by their scales, which are not tensors of their own then.

    Scales in a row wait for `along_axes`.
    """
    small = [tensor for tensor in tensors if _has_one_byte(tensor)]
    if not small:
        return tensors
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    neighbours = Neighbours(tensors)
    adapted = any(map(is_adapter, tensors))
    used: set[int] = set()
    made: dict[int, NamedTensor] = {}
    for tensor in small:
        nearby, zero = neighbours.near(tensor), _zero_point(tensor, by_path)
        used.update(id(scale) for scale in (*nearby.scales, zero) if scale is not None)
        scaled = _scaled(tensor, nearby, zero)
        if scaled.scale is not None and adapted:  # adapters are added to PyTorch's order
            scaled = _along_axis(scaled, scaled.scale, bool(scaled.transposed))
        made[id(tensor)] = scaled
    return [made.get(id(tensor), tensor) for tensor in tensors if id(tensor) not in used]


def along_axes(weights: list[NamedTensor], by_user: Sequence[bool]) -> list[NamedTensor]:
    """Multiply by the scales in a row, along the filters if they fit, else along the inputs.

    Parameters
    ----------
    weights : list of NamedTensor
        In PyTorch's order of axes.
    by_user : sequence of bool
        Whether the user says that a layer is transposed.
    """
    return [
        tensor
        if tensor.scale is None
        else _along_axis(tensor, tensor.scale, bool(by_user_too or tensor.transposed))
        for tensor, by_user_too in zip(weights, by_user, strict=True)
    ]


def _along_axis(tensor: NamedTensor, scale: VectorScale, transposed: bool) -> NamedTensor:
    axes = (1, 0) if transposed else (0, 1)
    axis = next((axis for axis in axes if tensor.shape[axis] == scale.count), None)
    if axis is None:
        return _refused(tensor, _sizes((scale.count,), tensor.shape))
    own_axis = axis
    what = f"{scale.how}, one per {_AXES[axes.index(axis)]}"
    return replace(
        tensor,
        read=lambda: scale.apply(tensor.read(), own_axis),
        scale=None,
        assumption="; ".join(filter(None, (what, tensor.assumption))),
    )


def _has_one_byte(tensor: NamedTensor) -> bool:
    small = tensor.dtype is not None and tensor.dtype.itemsize == 1
    leaf = split_leaf(tensor.name)[1]
    return (
        small
        and tensor.dtype is not torch.bool
        and len(tensor.shape) >= 3
        and not tensor.reason
        and (leaf.endswith(("weight", "kernel")) or leaf in ("w", "W"))
    )


_Known = dict[tuple[tuple[str, ...], str], NamedTensor]


def _zero_point(tensor: NamedTensor, by_path: _Known) -> NamedTensor | None:
    stem = tensor.name[: len(tensor.name) - len(split_leaf(tensor.name)[1])]
    names = [tensor.name + end for end in _ZERO_AFTER_WEIGHT]
    names += [stem + end for end in _ZERO_AFTER_STEM]
    inside = [((*tensor.container, tensor.name), end[1:]) for end in _ZERO_AFTER_WEIGHT]
    keys = [*((tensor.container, name) for name in names), *inside]
    return next((by_path[key] for key in keys if key in by_path), None)


def _scaled(tensor: NamedTensor, nearby: NearbyScales, zero: NamedTensor | None) -> NamedTensor:
    assert tensor.dtype is not None
    if not nearby.scales:
        return _without(tensor, nearby.unknown)
    scale = nearby.scales[0]
    names = ", ".join(split_leaf(other.path)[1] for other in nearby.scales[:4])
    if len(nearby.scales) > 1:
        return _refused(tensor, f"it has {len(nearby.scales)} scales: {names}")
    if scale.reason or scale.dtype is None:
        why = scale.reason or "a type that torch lacks"
        return _refused(tensor, f"its scale cannot be read: {why}")
    if not scale.dtype.is_floating_point:
        return _refused(tensor, f"its scale {names} is of type {_kind(scale)}")
    if tensor.dtype is torch.uint8 and zero is None:
        return _refused(tensor, "its unsigned integers have a scale but no zero point")
    less = "" if zero is None else "less their zero points "
    words = f"{_kind(tensor)} weights {less}times the scales next to them"
    if names not in _USUAL:
        words += f" ({names})"
    if _is_row(scale, tensor.shape):
        return _in_a_row(tensor, scale, zero, words)
    return _spread_out(tensor, scale, zero, words)


#: Names of scales that say what they are.
_USUAL = {"weight_scale", "weight_scale_inv", "scale", "_scale", "scale_weight", ABSMAX}


def _without(tensor: NamedTensor, unknown: list[NamedTensor]) -> NamedTensor:
    """A weight of one byte for which there is no scale, or nobody knows."""
    assert tensor.dtype is not None
    if unknown:
        names = ", ".join(split_leaf(scale.path)[1] for scale in unknown[:4])
        return _refused(tensor, f"next to it lies {names}, which may be a scale")
    if not tensor.dtype.is_floating_point:
        return replace(tensor, reason=f"{_kind(tensor)} without a scale; {QUANTISED}")
    return tensor if tensor.assumption else replace(tensor, assumption=_AS_STORED)


def _kind(tensor: NamedTensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _factor(scale: NamedTensor) -> float:
    return 1 / 127 if scale.name.endswith(ABSMAX) else 1.0


def _is_row(scale: NamedTensor, shape: tuple[int, ...]) -> bool:
    """Whether a scale is a vector along some axis, of which its shape does not tell which."""
    counts = scale.shape
    count = math.prod(counts)
    return count > 1 and len(counts) != len(shape) and count in counts and count in shape


def _in_a_row(
    tensor: NamedTensor, scale: NamedTensor, zero: NamedTensor | None, words: str
) -> NamedTensor:
    count, factor = math.prod(scale.shape), _factor(scale)
    if zero is not None and math.prod(zero.shape) not in (1, count):
        return _refused(tensor, _sizes(zero.shape, tensor.shape))

    def apply(weight: Tensor, axis: int) -> Tensor:
        form = [1] * weight.ndim
        form[axis] = count
        if zero is not None:
            shift = zero.read().to(torch.float32)
            weight = weight - shift.reshape(form if shift.numel() > 1 else ())
        return weight * (scale.read().to(torch.float32).reshape(form) * factor)

    return replace(
        tensor,
        dtype=torch.float32,
        read=lambda: tensor.read().to(torch.float32),
        scale=VectorScale(count, apply, words),
    )


def _spread_out(
    tensor: NamedTensor, scale: NamedTensor, zero: NamedTensor | None, words: str
) -> NamedTensor:
    spread, spacing = _spread(scale, tensor.shape)
    if spread is None:
        return _refused(tensor, spacing)
    shift: Callable[[Tensor], Tensor] | None = None
    if zero is not None:
        shift, problem = _spread(zero, tensor.shape)
        if shift is None:
            return _refused(tensor, problem)
    factor = _factor(scale)

    def read() -> Tensor:
        values = tensor.read().to(torch.float32)
        if zero is not None and shift is not None:
            values = values - shift(zero.read().to(torch.float32))
        return values * (spread(scale.read().to(torch.float32)) * factor)

    return replace(tensor, dtype=torch.float32, read=read, assumption=f"{words}, {spacing}")


def _refused(tensor: NamedTensor, problem: str) -> NamedTensor:
    return replace(
        tensor,
        scale=None,
        reason=f"quantised, and how is not clear ({problem}); give the model from before "
        "quantisation",
    )


def _sizes(counts: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, counts))} scales for {' x '.join(map(str, shape))} weights"


_Spread = Callable[[Tensor], Tensor]


def _spread(scale: NamedTensor, shape: tuple[int, ...]) -> tuple[_Spread | None, str]:
    """How a scale is spread over a weight, and over what in words; or None and the problem."""
    sizes = _sizes(scale.shape, shape)
    if scale.reason or scale.dtype is None:
        return None, f"its scale cannot be read: {scale.reason or 'a type that torch lacks'}"
    if math.prod(scale.shape) == 1:
        return lambda values: values.reshape(()), "one for the whole tensor"
    counts = scale.shape
    axis = _only_axis(counts, shape)
    if axis is not None:
        full = [1] * len(shape)
        full[axis] = shape[axis]
        spacing = f"one per {_AXES[axis]}" if axis < 2 else f"one along axis {axis} as stored"
        return lambda values: values.reshape(full), spacing
    if len(counts) == 2:
        counts = (*counts, *[1] * (len(shape) - 2))
    if len(counts) != len(shape):
        return None, sizes
    blocks = [_block(size, count) for size, count in zip(shape, counts, strict=True)]
    if None in blocks:
        return None, sizes
    lengths = [block for block in blocks if block is not None]

    def spread(values: Tensor) -> Tensor:
        values = values.reshape(counts)
        for axis, (size, length) in enumerate(zip(shape, lengths, strict=True)):
            values = values.repeat_interleave(length, axis).narrow(axis, 0, size)
        return values

    return spread, "one per block of " + " x ".join(map(str, lengths))


def _only_axis(counts: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
    """The axis of a weight that a scale runs along; None if it is not along one alone."""
    if len(counts) == len(shape):
        axes = [axis for axis, count in enumerate(counts) if count != 1]
        return axes[0] if len(axes) == 1 and counts[axes[0]] == shape[axes[0]] else None
    if math.prod(counts) != counts[0]:
        return None
    return next((axis for axis in (0, 1) if shape[axis] == counts[0]), None)


def _block(size: int, count: int) -> int | None:
    """Length of `count` blocks over an axis; None where that is not clear."""
    if count == 0 or count > size:
        return None
    if count in (1, size):
        return size // count
    fitting = {block for block in _BLOCKS if math.ceil(size / block) == count}
    if size % count == 0:
        fitting.add(size // count)
    return fitting.pop() if len(fitting) == 1 else None
