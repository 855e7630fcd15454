"""The operators that can stand between a stored tensor and a convolution's weight.

Each rule says which inputs its operator computes with, and how, as the ONNX standard has it.
Inputs that hold shapes or axes are read when the rule is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cwda.onnx_files.tensors import INTEGER_RANGES, STORED
from cwda.onnx_files.values import Call, Computation, Outcome, Rule, UnknownValueError

__all__ = ["DTYPES", "LAYOUT", "RULES", "dequantise", "outcome"]

#: Types that Cast and the quantising operators may give, by ONNX's number: torch computes with
#: neither wide unsigned integers nor, as a weight, with complex numbers.
DTYPES = {
    number: dtype
    for number, dtype in STORED.items()
    if dtype not in (torch.uint16, torch.uint32, torch.uint64) and not dtype.is_complex
}
#: 4-bit integers are computed with in the next larger type.
_QUANTISED = DTYPES | {4: torch.int32, 21: torch.uint8, 22: torch.int8}

_Made = tuple[tuple[int, ...], Computation]


def _same(call: Call) -> _Made:
    if call.output:  # the mask of a Dropout
        raise UnknownValueError(f"a second output of {call.operator}")
    return (), lambda tensor: tensor


def _cast(call: Call) -> _Made:
    dtype = DTYPES.get(call.number("to", 0))
    if dtype is None:
        raise UnknownValueError("cast to a type that is not evaluated")
    return (0,), lambda tensor: tensor.to(dtype)


def _cast_like(call: Call) -> _Made:
    dtype = call.value(1).dtype
    return (0,), lambda tensor: tensor.to(dtype)


# Layout


def _transpose(call: Call) -> _Made:
    axes = call.numbers("perm") or list(range(len(call.value(0).shape)))[::-1]
    return (0,), lambda tensor: tensor.permute(axes)


def _reshape(call: Call) -> _Made:
    before = call.value(0).shape
    shape = call.integers(1) if call.given(1) else call.numbers("shape")
    if shape is None:
        raise UnknownValueError("Reshape lacks a shape")
    if not call.number("allowzero", 0):  # 0 keeps the size
        shape = [
            before[axis] if size == 0 and axis < len(before) else size
            for axis, size in enumerate(shape)
        ]
    return (0,), lambda tensor: tensor.reshape(shape)


def _axes(call: Call) -> list[int] | None:
    return call.integers(1) if call.given(1) else call.numbers("axes")


def _squeeze(call: Call) -> _Made:
    before, axes = call.value(0).shape, _axes(call)
    axes = [axis for axis, size in enumerate(before) if size == 1] if axes is None else axes
    dropped = {axis % max(len(before), 1) for axis in axes}
    if any(before[axis] != 1 for axis in dropped):
        raise UnknownValueError("Squeeze does not fit its inputs")
    shape = [size for axis, size in enumerate(before) if axis not in dropped]
    return (0,), lambda tensor: tensor.reshape(shape)


def _unsqueeze(call: Call) -> _Made:
    before, axes = list(call.value(0).shape), _axes(call) or []
    total = len(before) + len(axes)
    new = {axis % total for axis in axes}
    if len(new) != len(axes):
        raise UnknownValueError("Unsqueeze does not fit its inputs")
    sizes = iter(before)
    shape = [1 if axis in new else next(sizes) for axis in range(total)]
    return (0,), lambda tensor: tensor.reshape(shape)


def _flatten(call: Call) -> _Made:
    before, axis = call.value(0).shape, call.number("axis", 1)
    first = math.prod(before[:axis])
    return (0,), lambda tensor: tensor.reshape(first, math.prod(before[axis:]))


def _expand(call: Call) -> _Made:
    before, sizes = call.value(0).shape, call.integers(1)
    try:
        shape = torch.broadcast_shapes(before, sizes)
    except RuntimeError:
        raise UnknownValueError("Expand does not fit its inputs") from None
    return (0,), lambda tensor: tensor.expand(shape)


def _tile(call: Call) -> _Made:
    times = call.integers(1)
    return (0,), lambda tensor: tensor.repeat(times)


def _concat(call: Call) -> _Made:
    axis = call.number("axis", 0)
    return tuple(range(len(call.values))), lambda *tensors: torch.cat(tensors, axis)


def _slice(call: Call) -> _Made:
    rank = len(call.value(0).shape)
    as_inputs = call.given(1)
    starts = call.integers(1) if as_inputs else call.numbers("starts") or []
    ends = call.integers(2) if as_inputs else call.numbers("ends") or []
    axes = call.integers(3) if call.given(3) else call.numbers("axes") or list(range(len(starts)))
    steps = call.integers(4) if call.given(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or len(starts) > rank or 0 in steps:
        raise UnknownValueError("Slice does not fit its inputs")

    def compute(tensor: Tensor) -> Tensor:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            stop = None if step < 0 and end < -(2**31) + 2 else end  # through the first
            taken = range(*slice(start, stop, step).indices(tensor.shape[axis]))
            first = min(taken[0], taken[-1]) if taken else 0
            length = abs(taken[-1] - taken[0]) + 1 if taken else 0
            tensor = tensor.narrow(axis, first, length)
            if step < 0:
                tensor = tensor.flip(axis)
            before = (slice(None),) * (axis % tensor.ndim)
            tensor = tensor[(*before, slice(None, None, abs(step)))]
        return tensor

    return (0,), compute


def _split(call: Call) -> _Made:
    axis, output = call.number("axis", 0), call.output
    size = call.value(0).shape[axis]
    sizes = call.integers(1) if call.given(1) else call.numbers("split")
    if sizes is None:
        parts = call.number("num_outputs", call.outputs)
        most = -(-size // max(parts, 1))
        sizes = [min(most, size - most * place) for place in range(parts)]
    if output >= len(sizes) or sum(sizes) != size or min(sizes) < 0:
        raise UnknownValueError("Split does not fit its inputs")
    start, length = sum(sizes[:output]), sizes[output]
    return (0,), lambda tensor: tensor.narrow(axis, start, length)


def _gather(call: Call) -> _Made:
    axis, indices = call.number("axis", 0), call.integers(1)
    shape = call.value(1).shape
    before = call.value(0).shape
    if not -len(before) <= axis < len(before):
        raise UnknownValueError("Gather does not fit its inputs")
    axis %= len(before)
    size = before[axis]
    if any(not -size <= index < size for index in indices):
        raise UnknownValueError("Gather does not fit its inputs")
    places = [index % size for index in indices]
    after = (*before[:axis], *shape, *before[axis + 1 :])

    def compute(tensor: Tensor) -> Tensor:
        index = torch.tensor(places, dtype=torch.int64, device=tensor.device)
        return tensor.index_select(axis, index).reshape(after)

    return (0,), compute


def _pad(call: Call) -> _Made:
    rank = len(call.value(0).shape)
    pads = call.integers(1) if call.given(1) else call.numbers("pads") or []
    mode = call.attribute("mode")
    if (mode and mode.string not in ("", "constant")) or call.given(2) or call.given(3):
        raise UnknownValueError("padded with other values than zero")
    if len(pads) != 2 * rank:
        raise UnknownValueError("Pad does not fit its inputs")
    # torch counts from the last axis, a beginning and an end for each.
    flat = [side for axis in reversed(range(rank)) for side in (pads[axis], pads[rank + axis])]
    return (0,), lambda tensor: torch.nn.functional.pad(tensor, flat)


def _shape(call: Call) -> _Made:
    sizes = list(call.value(0).shape)
    start, end = call.number("start", 0), call.number("end", len(sizes))
    return (0,), lambda tensor: torch.tensor(sizes[start:end], dtype=torch.int64)


def _filled(call: Call) -> _Made:
    shape, attribute = call.integers(0), call.attribute("value")
    constant = attribute.tensor if attribute else None
    if min(shape, default=0) < 0 or (constant is not None and math.prod(constant.shape) != 1):
        raise UnknownValueError("ConstantOfShape does not fit its inputs")
    if constant is not None and constant.dtype is None:
        raise UnknownValueError(constant.reason)
    value = constant.read().reshape(()) if constant else torch.zeros(())
    # Nothing is written out for shapes alone; the first input only says what it follows from.
    return (0,), lambda sizes: value.to(sizes.device).expand(shape)


# Arithmetic


def _unary(function: Callable[[Tensor], Tensor]) -> Rule:
    return lambda call: ((0,), function)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Rule:
    return lambda call: ((0, 1), function)


def _divide(left: Tensor, right: Tensor) -> Tensor:
    integers = not (left.dtype.is_floating_point or right.dtype.is_floating_point)
    return torch.div(left, right, rounding_mode="trunc" if integers else None)


def _power(left: Tensor, right: Tensor) -> Tensor:
    return torch.pow(left, right).to(left.dtype)


def _clip(call: Call) -> _Made:
    if call.given(1) or call.given(2):
        return (0, 1, 2), lambda tensor, low, high: torch.clamp(tensor, low, high)
    low, high = (call.attribute(name) for name in ("min", "max"))
    bounds = (low.real if low else None, high.real if high else None)
    if bounds == (None, None):
        return (), lambda tensor: tensor
    return (0,), lambda tensor: torch.clamp(tensor, *bounds)


def _reduce(function: Callable[[Tensor, list[int], bool], Tensor]) -> Rule:
    def rule(call: Call) -> _Made:
        rank, axes = len(call.value(0).shape), _axes(call)
        if not axes and call.number("noop_with_empty_axes", 0):
            return (), lambda tensor: tensor
        over, keep = axes or list(range(rank)), bool(call.number("keepdims", 1))
        return (0,), lambda tensor: function(tensor, over, keep)

    return rule


def _norm(order: int) -> Callable[[Tensor, list[int], bool], Tensor]:
    return lambda tensor, axes, keep: torch.linalg.vector_norm(tensor, order, axes, keep)


# Quantisation


def _fitted(factor: Tensor, like: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point in a shape that fits the tensor: single, per axis or per block."""
    factor = factor.to(torch.float32)
    if factor.numel() == 1:
        return factor.reshape(())
    shape = list(like.shape)
    if block > 0:
        shape[axis] = -(-shape[axis] // block)
    elif factor.ndim == 1:
        shape = [1] * like.ndim
        shape[axis] = like.shape[axis]
        factor = factor.reshape(shape)
    if list(factor.shape) != shape:
        raise ValueError("a scale that does not fit its tensor")
    if block > 0:
        factor = factor.repeat_interleave(block, axis).narrow(axis, 0, like.shape[axis])
    return factor


def dequantise(axis: int, block: int = 0, dtype: torch.dtype | None = None) -> Computation:
    """(tensor - zero point) * scale, in the scale's type."""

    def compute(tensor: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
        place = axis % max(tensor.ndim, 1)
        values = tensor.to(torch.float32)
        if zero is not None:
            values = values - _fitted(zero, tensor, place, block)
        return (values * _fitted(scale, tensor, place, block)).to(dtype or scale.dtype)

    return compute


def _dequantise(call: Call) -> _Made:
    dtype = DTYPES.get(call.number("output_dtype", 0))
    axis, block = call.number("axis", 1), call.number("block_size", 0)
    call.value(1)
    return (0, 1, 2), dequantise(axis, block, dtype)


def _quantise(call: Call) -> _Made:
    axis, block = call.number("axis", 1), call.number("block_size", 0)
    kind = call.value(2).kind if call.given(2) else call.number("output_dtype", 2) or 2
    dtype = _QUANTISED.get(kind)
    if dtype is None:
        raise UnknownValueError("quantised to a type that is not evaluated")
    floating = dtype.is_floating_point
    if not floating and kind not in INTEGER_RANGES:
        raise UnknownValueError("quantised to a type that is not evaluated")
    limits = torch.finfo(dtype) if floating else None
    low, high = (limits.min, limits.max) if limits else INTEGER_RANGES[kind]

    def compute(tensor: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
        place = axis % max(tensor.ndim, 1)
        values = tensor.to(torch.float32) / _fitted(scale, tensor, place, block)
        values = values if floating else values.round()
        if zero is not None:
            values = values + _fitted(zero, tensor, place, block)
        return values.clamp(low, high).to(dtype)

    call.value(1)
    return (0, 1, 2), compute


#: Operators that only rearrange what is stored.
LAYOUT = frozenset(
    {"Identity", "Cast", "CastLike", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
    | {"Dropout", "Slice", "Split", "Concat", "Gather"}
)

RULES: dict[str, Rule] = {
    "Identity": _same,
    "Dropout": _same,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Flatten": _flatten,
    "Expand": _expand,
    "Tile": _tile,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Pad": _pad,
    "Shape": _shape,
    "ConstantOfShape": _filled,
    "Neg": _unary(torch.neg),
    "Abs": _unary(torch.abs),
    "Sqrt": _unary(torch.sqrt),
    "Reciprocal": _unary(torch.reciprocal),
    "Exp": _unary(torch.exp),
    "Log": _unary(torch.log),
    "Sign": _unary(torch.sign),
    "Tanh": _unary(torch.tanh),
    "Sigmoid": _unary(torch.sigmoid),
    "Add": _binary(torch.add),
    "Sub": _binary(torch.sub),
    "Mul": _binary(torch.mul),
    "Div": _binary(_divide),
    "Pow": _binary(_power),
    "Max": _binary(torch.maximum),
    "Min": _binary(torch.minimum),
    "MatMul": _binary(torch.matmul),
    "Clip": _clip,
    "ReduceL1": _reduce(_norm(1)),
    "ReduceL2": _reduce(_norm(2)),
    "ReduceSum": _reduce(lambda tensor, axes, keep: tensor.sum(axes, keep)),
    "ReduceSumSquare": _reduce(lambda tensor, axes, keep: tensor.square().sum(axes, keep)),
    "ReduceMean": _reduce(lambda tensor, axes, keep: tensor.mean(axes, keep)),
    "ReduceMax": _reduce(lambda tensor, axes, keep: tensor.amax(axes, keep)),
    "ReduceMin": _reduce(lambda tensor, axes, keep: tensor.amin(axes, keep)),
    "DequantizeLinear": _dequantise,
    "QuantizeLinear": _quantise,
}


def outcome(call: Call) -> Outcome | None:
    """Shape and type of what a node makes, for the usual arithmetic; None for the rest.

    Whether a scale fits its tensor is found out when the values are computed.
    """
    first, operator = call.value(0), call.operator
    if operator == "DequantizeLinear":
        return first.shape, DTYPES.get(call.number("output_dtype", 0)) or call.value(1).dtype
    if operator == "QuantizeLinear":
        kind = call.value(2).kind if call.given(2) else call.number("output_dtype", 2) or 2
        return first.shape, _QUANTISED[kind]
    if not first.dtype.is_floating_point or first.dtype.itemsize < 2:
        return None
    if operator in _PLAIN:
        return first.shape, first.dtype
    if operator in _PAIRS and call.value(1).dtype == first.dtype:
        return tuple(torch.broadcast_shapes(first.shape, call.value(1).shape)), first.dtype
    if operator.startswith("Reduce"):
        return _reduced(call, first.shape), first.dtype
    return None


_PLAIN = frozenset({"Neg", "Abs", "Sqrt", "Reciprocal", "Exp", "Log", "Sign", "Tanh", "Sigmoid"})
_PAIRS = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"})


def _reduced(call: Call, before: tuple[int, ...]) -> tuple[int, ...]:
    """The shape after a reduction."""
    axes = _axes(call) or list(range(len(before)))
    if any(not -len(before) <= axis < len(before) for axis in axes):
        raise UnknownValueError(f"{call.operator} does not fit its inputs")
    over = {axis % len(before) for axis in axes}
    keep = call.number("keepdims", 1)
    sizes = ((axis in over, size) for axis, size in enumerate(before))
    return tuple(1 if gone else size for gone, size in sizes if keep or not gone)
