"""Weights of one byte with their scales beside them: float8 and integers.

Quantisation for inference divides a weight by a scale, of the tensor, of each filter or of
blocks. Filters can only be compared after multiplying again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from cwda.extract.tensors import NamedTensor
from cwda.extract.torch_storage import QUANTISED

__all__ = ["apply_scales"]

#: Names of scales and of zero points, after the weight's own name or after its stem.
_AFTER_WEIGHT = ("_scale", "_scale_inv", "_scales", ".scale", ".scales", "._scale", ".scale_inv")
_AFTER_STEM = ("scale", "scale_inv", "scales", "_scale", "scale_weight", "qscale", "w_scale")
_ZERO_AFTER_WEIGHT = ("_zero_point", "_zero_points", "_zp", ".zero_point", "._zero_point")
_ZERO_AFTER_STEM = ("zero_point", "zero_points", "zeros", "w_zero_point")
#: What bitsandbytes calls the largest magnitudes of the rows of an int8 weight.
_ABSMAX = "SCB"
#: A second scale, of a scheme that packs two numbers into a byte.
_SECOND = "_scale_2"

_AXES = ("filter", "input channel", "position of the kernel")
_BLOCKS = (16, 32, 64, 128, 256, 512)
_AS_STORED = "8-bit floats as stored: the source has no scale for them"


def apply_scales(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Multiply weights of one byte by their scales, which are no tensors of their own then."""
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    used: set[int] = set()
    result: list[NamedTensor] = []
    for tensor in tensors:
        if not _has_one_byte(tensor):
            result.append(tensor)
            continue
        scale, zero = _companions(tensor, by_path)
        used.update(id(each) for each in (scale, zero) if each is not None)
        result.append(_scaled(tensor, scale, zero, by_path))
    return [tensor for tensor in result if id(tensor) not in used]


def _has_one_byte(tensor: NamedTensor) -> bool:
    small = tensor.dtype is not None and tensor.dtype.itemsize == 1
    leaf = tensor.name.rpartition(".")[2]
    return (
        small
        and tensor.dtype is not torch.bool
        and len(tensor.shape) >= 3
        and not tensor.reason
        and (leaf.endswith(("weight", "kernel")) or leaf in ("w", "W"))
    )


_Known = dict[tuple[tuple[str, ...], str], NamedTensor]


def _companions(
    tensor: NamedTensor, by_path: _Known
) -> tuple[NamedTensor | None, NamedTensor | None]:
    """The scale and the zero point of a weight."""

    def first(after_weight: tuple[str, ...], after_stem: tuple[str, ...]) -> NamedTensor | None:
        stem = tensor.name[: len(tensor.name) - len(tensor.name.rpartition(".")[2])]
        names = [tensor.name + end for end in after_weight] + [stem + end for end in after_stem]
        inside = [((*tensor.container, tensor.name), end[1:]) for end in after_weight]
        keys = [*((tensor.container, name) for name in names), *inside]
        return next((by_path[key] for key in keys if key in by_path), None)

    return (
        first(_AFTER_WEIGHT, (*_AFTER_STEM, _ABSMAX)),
        first(_ZERO_AFTER_WEIGHT, _ZERO_AFTER_STEM),
    )


def _scaled(
    tensor: NamedTensor, scale: NamedTensor | None, zero: NamedTensor | None, by_path: _Known
) -> NamedTensor:
    assert tensor.dtype is not None
    floating = tensor.dtype.is_floating_point
    if scale is None:
        if not floating:
            kind = str(tensor.dtype).removeprefix("torch.")
            return replace(tensor, reason=f"{kind} without a scale; {QUANTISED}")
        return tensor if tensor.assumption else replace(tensor, assumption=_AS_STORED)
    if (tensor.container, f"{tensor.name}{_SECOND}") in by_path:
        return _refused(tensor, "it has two scales")
    if tensor.dtype is torch.uint8 and zero is None:
        return _refused(tensor, "its unsigned integers have a scale but no zero point")
    spread, where = _spread(scale, tensor.shape)
    if spread is None:
        return _refused(tensor, where)
    shift: Callable[[Tensor], Tensor] | None = None
    if zero is not None:
        shift, problem = _spread(zero, tensor.shape)
        if shift is None:
            return _refused(tensor, problem)
    factor = 1 / 127 if scale.name.endswith(_ABSMAX) else 1.0

    def read() -> Tensor:
        values = tensor.read().to(torch.float32)
        if zero is not None and shift is not None:
            values = values - shift(zero.read().to(torch.float32))
        return values * (spread(scale.read().to(torch.float32)) * factor)

    kind = str(tensor.dtype).removeprefix("torch.")
    less = "" if zero is None else "less their zero points "
    how = f"{kind} weights {less}times the scales beside them, {where}"
    return replace(tensor, dtype=torch.float32, read=read, assumption=how)


def _refused(tensor: NamedTensor, problem: str) -> NamedTensor:
    return replace(
        tensor,
        reason=f"quantised, and how is not clear ({problem}); give the model from before "
        "quantisation",
    )


_Spread = Callable[[Tensor], Tensor]


def _spread(scale: NamedTensor, shape: tuple[int, ...]) -> tuple[_Spread | None, str]:
    """How a scale is spread over a weight, and over what in words; or None and the problem."""
    sizes = f"{' x '.join(map(str, scale.shape))} scales for {' x '.join(map(str, shape))} weights"
    if scale.reason or scale.dtype is None:
        return None, f"its scale cannot be read: {scale.reason or 'a type that torch lacks'}"
    if math.prod(scale.shape) == 1:
        return lambda values: values.reshape(()), "one for the whole tensor"
    given = scale.shape
    axis = _only_axis(given, shape)
    if axis is not None:
        full = [1] * len(shape)
        full[axis] = shape[axis]
        return lambda values: values.reshape(full), f"one per {_AXES[min(axis, 2)]}"
    if len(given) == 2:
        given = (*given, *[1] * (len(shape) - 2))
    if len(given) != len(shape):
        return None, sizes
    blocks = [_block(size, count) for size, count in zip(shape, given, strict=True)]
    if None in blocks:
        return None, sizes
    lengths = [block for block in blocks if block is not None]

    def spread(values: Tensor) -> Tensor:
        values = values.reshape(given)
        for axis, (size, length) in enumerate(zip(shape, lengths, strict=True)):
            values = values.repeat_interleave(length, axis).narrow(axis, 0, size)
        return values

    return spread, "one per block of " + " x ".join(map(str, lengths))


def _only_axis(given: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
    """The axis of a weight that a scale runs along; None if it is not along one alone."""
    if len(given) == len(shape):
        axes = [axis for axis, count in enumerate(given) if count != 1]
        return axes[0] if len(axes) == 1 and given[axes[0]] == shape[axes[0]] else None
    if math.prod(given) != given[0]:
        return None
    return next((axis for axis in (0, 1) if shape[axis] == given[0]), None)


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
