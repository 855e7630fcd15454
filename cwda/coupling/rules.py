"""What operations without weights do to channel numbers.

Every rule takes the call of an operation, in which channel numbers stand in the place of
tensors, and gives the numbers of its result, None where it does not hold, or a text that says why
it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from cwda.brief import brief
from cwda.coupling.channels import Channels, along, constant, spread, varies
from cwda.tracing.operations import (
    ADDITIVE,
    COPYING,
    CREATING,
    DIVIDING,
    ELEMENTWISE,
    FILLING,
    FLATTEN,
    HALVING,
    MOVING,
    MULTIPLICATIVE,
    PADDING,
    PARTS,
    PER_CHANNEL,
    REDUCING,
    RESHAPING,
    SELECTING,
    SHUFFLING,
    kind,
    operation,
)

__all__ = ["RULES", "Call", "Numbers", "leaves"]

#: Channel numbers of a tensor, or of each tensor in a tuple; a text says why there are none.
Numbers = Any

_PART = "takes a part of the channels, which would be another part without some of them"
_ELEMENTS = "takes elements by the values of others"
_PLACES = "it meets a constant with a place for each channel"
_SIZE = "is given the number of channels as a number written into the code"


@dataclass(frozen=True, eq=False)
class Call:
    """One operation of a graph, called with numbers in place of tensors.

    Attributes
    ----------
    node : fx.Node
        The operation.
    value : Any
        What it gave on the example.
    args : list
        Its arguments.
    kwargs : dict
        And those with names.
    channels : Channels
        All channels.
    carry_out : callable
        The operation itself, for other arguments.
    paddings : dict
        Where to note channels of zeros that are added.
    root : nn.Module
        The graph's module.
    """

    node: fx.Node
    value: Any
    args: list[Any]
    kwargs: dict[str, Any]
    channels: Channels
    carry_out: Callable[[list[Any], dict[str, Any]], Any]
    paddings: dict[str, tuple[Tensor, int, int]]
    root: Any

    __repr__ = brief

    def tensors(self) -> list[Tensor]:
        """The numbers of all tensors among the arguments."""
        return [each for each in leaves((self.args, self.kwargs)) if isinstance(each, Tensor)]

    def at_zero(self) -> bool:
        """Whether the operation gives 0 where its tensors are 0."""
        dtype = self.value.dtype if self.value.dtype.is_floating_point else torch.float32
        form = [1] * self.value.ndim  # of as many axes, which some operations count

        def zero(each: Any) -> Any:
            return self.value.new_zeros(form, dtype=dtype) if isinstance(each, Tensor) else each

        result = self.carry_out(
            [zero(each) for each in self.args],
            {name: zero(each) for name, each in self.kwargs.items()},
        )
        return bool((result == 0).all())


def leaves(value: Any) -> Iterator[Any]:
    """What is nested in tuples, lists, dictionaries and slices."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, slice):
        yield from (value.start, value.stop, value.step)
    else:
        yield value


def _meet(channels: Channels, values: list[Tensor]) -> list[Tensor]:
    """Numbers that meet element by element: brought to one shape and tied.

    A channel that is broadcast over others belongs to none of them; it must stay, and is from
    then on a constant. A constant with a place for each channel lets none of them go.
    """
    ndim = max(each.ndim for each in values)
    values = [each.reshape([1] * (ndim - each.ndim) + [*each.shape]) for each in values]
    axes = _varying(values)
    met = []
    for each in values:
        if any(each.shape[axis] == 1 for axis in axes):
            channels.fix(each, "it is broadcast over the channels of another layer")
            each = torch.zeros_like(each)
        met.append(each)
    axes = _varying(met)
    for one in met:
        if not one.any() and any(one.shape[axis] > 1 for axis in axes):
            for other in met:
                channels.fix(other, _PLACES)
    met = list(torch.broadcast_tensors(*met))
    for place, one in enumerate(met):
        for other in met[place + 1 :]:
            channels.tie(one, other)
    return met


def _varying(values: list[Tensor]) -> list[int]:
    return [axis for axis in range(values[0].ndim) if any(varies(each, axis) for each in values)]


def _joined(met: list[Tensor], zeroed: Tensor) -> Tensor:
    """The numbers of a result, of whichever argument has a channel."""
    channels = met[0].abs()
    for each in met[1:]:
        channels = torch.where(channels == 0, each.abs(), channels)
    return torch.where(zeroed, channels, -channels)


def _elementwise(call: Call) -> Numbers:
    tensors = call.tensors()
    if len(tensors) == 1 or operation(call.node) in ("to", "typeas"):
        numbers = tensors[0]
        if numbers.shape != call.value.shape:
            return None
        return numbers if call.at_zero() else -numbers.abs()
    met = _meet(call.channels, tensors)
    zeroed = torch.stack([each > 0 for each in met]).all(0)
    return _joined(met, zeroed & call.at_zero())


def _multiplicative(call: Call) -> Numbers:
    tensors = call.tensors()
    if len(tensors) < 2:
        return _elementwise(call)
    met = _meet(call.channels, tensors)
    return _joined(met, torch.stack([each > 0 for each in met]).any(0))


def _dividing(call: Call) -> Numbers:
    if len(call.tensors()) < 2:
        return _elementwise(call)
    met = _meet(call.channels, call.tensors())
    return _joined(met, met[0] > 0)


def _selecting(call: Call) -> Numbers:
    if len(call.args) < 3:
        return None
    if operation(call.node) == "maskedfill":
        met = _meet(call.channels, [each for each in call.args if isinstance(each, Tensor)])
        kept = met[0] > 0 if not isinstance(call.args[2], Tensor) and call.args[2] == 0 else False
        return _joined(met, torch.zeros_like(met[0], dtype=torch.bool) | kept)
    values = [call.args[0], call.args[2]] if call.node.op == "call_method" else call.args[1:3]
    zero = [not isinstance(each, Tensor) and each == 0 for each in values]
    met = _meet(call.channels, call.tensors())
    sides = [each for each in values if isinstance(each, Tensor)]
    if any(not isinstance(each, Tensor) and not z for each, z in zip(values, zero, strict=True)):
        return _joined(met, torch.zeros_like(met[0], dtype=torch.bool))
    shown = torch.broadcast_tensors(*sides, met[0])[:-1]
    zeroed = torch.ones_like(met[0], dtype=torch.bool)
    for each in shown:
        zeroed = zeroed & (each > 0)
    return _joined(met, zeroed)


def _creating(call: Call) -> Numbers:
    """New elements: of the channels in the form of which they are made, or of none."""
    if operation(call.node).endswith("like"):
        return -call.args[0].abs()
    return constant(call.value.shape)


def _per_channel(call: Call) -> Numbers:
    given = call.args[0]
    numbers = along(given, 1) if given.ndim > 1 else None
    if not isinstance(call.value, Tensor) or numbers is None or call.value.ndim < 2:
        return None
    fill = getattr(_module(call), "value", 0.0) if call.node.op == "call_module" else 0.0
    if fill:  # a padding that is not zero
        numbers = -numbers.abs()
    return spread(numbers, call.value, 1) if call.value.shape[1] == len(numbers) else None


def _module(call: Call) -> Any:
    return call.root.get_submodule(str(call.node.target))


def _reducing(call: Call) -> Numbers:
    numbers = call.args[0]
    given = call.kwargs.get("dim", call.kwargs.get("axis"))
    if given is None and len(call.args) > 1 and not isinstance(call.args[1], bool):
        given = call.args[1]
    axes = tuple(range(numbers.ndim)) if given is None else given
    keep = call.value.ndim == numbers.ndim
    numbers = call.channels.united(numbers) if numbers.any() else numbers
    lowest, highest = (each(numbers.abs(), axes, keep) for each in (torch.amin, torch.amax))
    same = lowest.shape == call.value.shape and torch.equal(lowest, highest)
    # A negative number, of what is not zero, is the lowest.
    return numbers.amin(axes, keep) if same else None


def _moving(call: Call) -> Numbers:
    given = call.args[0]
    joins = operation(call.node) in ("cat", "concat", "concatenate", "stack")
    if joins and _join(call):
        return call.channels.united(call.carry_out(call.args, call.kwargs))
    if isinstance(given, Tensor) and not _takes_whole_channels(call):
        if operation(call.node) in ("expand", "broadcastto"):
            return _SIZE
        return _ELEMENTS if len(call.tensors()) > 1 else _PART
    return call.carry_out(call.args, call.kwargs)


def _join(call: Call) -> bool:
    """Tie the channels of values that are joined along another axis, and so must be as many."""
    values = [each for each in call.args[0] if each.numel()]
    if operation(call.node) != "stack":
        axis = call.kwargs.get("dim", call.kwargs.get("axis", 0))
        axis = call.args[1] if len(call.args) > 1 else axis
        if any(varies(each, axis) for each in values):
            return False
        values = [each.select(axis, 0) for each in values]
    if not any(varies(each, axis) for each in values for axis in range(each.ndim)):
        return False
    for each in values[1:]:
        call.channels.tie(values[0], each)
    if not all(each.any() for each in values):
        for each in values:
            call.channels.fix(each, _PLACES)
    return True


def _takes_whole_channels(call: Call) -> bool:
    """Whether a part is taken only along axes on which the channel does not change."""
    given, name = call.args[0], operation(call.node)
    if name in ("narrow", "select", "unbind", "roll"):
        axis = call.kwargs.get("dim", call.kwargs.get("dims"))
        if axis is None:
            axis = call.args[-1 if name == "roll" else 1] if len(call.args) > 1 else 0
        return isinstance(axis, int) and not varies(given, axis)
    if name == "flip":
        axes = [*leaves((call.args[1:], call.kwargs))]
        return not any(varies(given, axis) for axis in axes)
    if name in ("expand", "broadcastto"):
        shape = [1] * (call.value.ndim - given.ndim) + [*given.shape]
        grown = [i for i, (a, b) in enumerate(zip(shape, call.value.shape, strict=True)) if a != b]
        return not any(_is_written(call, 1 + i) for i in grown)
    if name != "getitem":
        return True
    return _indexes_whole_channels(call)


def _indexes_whole_channels(call: Call) -> bool:
    given, index = call.args[:2]
    items = index if isinstance(index, tuple) else (index,)
    axis = 0
    for place, item in enumerate(items):
        if item is None:
            continue
        if item is ...:
            axis = given.ndim - sum(each is not None for each in items[place + 1 :])
            continue
        if not isinstance(item, int | slice) or not _takes_all(call, given, axis, place, item):
            return False
        axis += 1
    return True


def _takes_all(call: Call, given: Tensor, axis: int, place: int, item: Any) -> bool:
    if not varies(given, axis):
        return True
    if not isinstance(item, slice):
        return False
    size = given.shape[axis]
    start, stop, step = item.indices(size)
    if (start, step) == (0, 1) and stop == size:
        return True
    written = call.node.args[1]
    written = written[place] if isinstance(written, tuple) else written
    ends = (written.start, written.stop) if isinstance(written, slice) else (1, 1)
    literal = any(isinstance(each, int) and each for each in ends)
    if literal or step != 1 or size % (stop - start) or start % (stop - start):
        return False
    _tie_parts(call.channels, given, axis, size // (stop - start))
    return True


def _tie_parts(channels: Channels, numbers: Tensor, axis: int, count: int) -> None:
    """Tie the channels at the same place of equal parts: each part must lose as many."""
    parts = numbers.chunk(count, axis)
    for each in parts[1:]:
        channels.tie(parts[0], each)


def _parts(call: Call) -> Numbers:
    """Parts of equal size stay so if each loses the same channels."""
    given, axis = call.args[0], _axis(call)
    parts = call.carry_out(call.args, call.kwargs)
    if not varies(given, axis):
        return parts
    equal = len({each.shape[axis] for each in call.value}) == 1
    if not equal or (operation(call.node) not in ("chunk", "tensorsplit") and _sizes_written(call)):
        return _PART
    _tie_parts(call.channels, given, axis, len(parts))
    return parts


def _axis(call: Call) -> int:
    axis = call.kwargs.get("dim", call.args[2] if len(call.args) > 2 else 0)
    return int(axis)


def _sizes_written(call: Call) -> bool:
    sizes = [*call.node.args[1:2], *call.node.kwargs.values()]
    return any(isinstance(each, int) and each > 1 for each in leaves(sizes))


def _halving(call: Call) -> Numbers:
    """One half of the channels times the sigmoid of the other half."""
    given = call.args[0]
    axes = [*call.args[1:], *call.kwargs.values(), -1]
    axis = int(_module(call).dim if call.node.op == "call_module" else axes[0])
    first, second = given.chunk(2, axis)
    if varies(given, axis):
        call.channels.tie(first, second)
    return first


def _copying(call: Call) -> Numbers:
    return _overwritten(call, call.args[0], call.args[1])


def _filling(call: Call) -> Numbers:
    base, index, item = call.args
    if not _indexes_whole_channels(call):
        return _ELEMENTS if any(isinstance(each, Tensor) for each in leaves(index)) else _PART
    result = base.clone()
    result[index] = _overwritten(call, base[index], item)
    return result


def _overwritten(call: Call, old: Tensor, new: Any) -> Tensor:
    """Elements overwritten keep their channel; whether they are zero depends on the new ones."""
    if not isinstance(new, Tensor):
        return old.abs() if new == 0 else -old.abs()
    one, other = _meet(call.channels, [old, new])
    return torch.where(other > 0, other, -torch.where(other == 0, one, other).abs())


def _reshaping(call: Call) -> Numbers:
    """Axes merged or split. A channel axis may be split into groups of a number given."""
    given, value = call.args[0], call.value
    moved = given.reshape(value.shape)
    if kind(call.node, call.root) == FLATTEN:
        return moved
    if [s for s in value.shape if s > 1] == [s for s in given.shape if s > 1]:
        varying = [axis for axis in range(value.ndim) if varies(moved, axis)]
        return _SIZE if any(_is_written(call, 1 + axis) for axis in varying) else moved
    axes = [axis for axis in range(value.ndim) if varies(moved, axis)]
    before = [axis for axis in range(given.ndim) if varies(given, axis)]
    written = [axis for axis in axes if _is_written(call, 1 + axis)]
    if len(axes) < 2 or len(before) >= len(axes):
        return _SIZE if written else moved
    if len(written) != len(axes) - 1:
        return "divides the channels in a way that is not followed"
    for axis in written:
        _tie_parts(call.channels, moved, axis, value.shape[axis])
    return call.channels.united(moved)


def _is_written(call: Call, place: int) -> bool:
    """Whether a size stands in the code as a number, and is not computed from another."""
    args: tuple[Any, ...] = call.node.args
    if operation(call.node) in ("viewas", "reshapeas", "expandas"):
        return False
    if operation(call.node) == "unflatten":
        axis, sizes = int(call.args[1]), call.node.args[2]
        args = (None, *[None] * (axis % call.args[0].ndim), *sizes)  # type: ignore[misc]
    elif len(args) > 1 and isinstance(args[1], list | tuple):
        args = (None, *args[1])
    elif len(args) < 2:
        args = (None, *next(iter(call.node.kwargs.values())))  # type: ignore[misc]
    given = args[place] if place < len(args) else None
    return isinstance(given, int) and given > 1


def _shuffling(call: Call) -> Numbers:
    """Pixel shuffle makes one channel of several; channel shuffle interleaves groups."""
    numbers = along(call.args[0], 1)
    if numbers is None:
        return None
    if call.value.shape[1] == len(numbers):  # channels interleaved
        factor = _number(call, "groups")
        _tie_parts(call.channels, numbers, 0, factor)
        return spread(numbers.reshape(factor, -1).T.flatten(), call.value, 1)
    blocks = numbers.reshape(call.value.shape[1], -1)
    _tie_parts(call.channels, blocks, 1, blocks.shape[1])
    return spread(blocks[:, 0], call.value, 1)


def _number(call: Call, name: str) -> int:
    if call.node.op == "call_module":
        return int(getattr(_module(call), name))
    return int(call.kwargs.get(name, call.args[-1]))


def _padding(call: Call) -> Numbers:
    names = ("input", "pad", "mode", "value")
    given = dict(zip(names, call.args, strict=False)) | call.kwargs
    x, pad, mode, fill = (given.get(name) for name in names)
    if not isinstance(x, Tensor) or pad is None:
        return None
    numbers = along(x, 1) if x.ndim > 1 else None
    place = 2 * (x.ndim - 2)  # pairs go from the last axis to the first
    before, after = (*pad, *[0] * (2 * x.ndim))[place : place + 2]
    zeros = mode in (None, "constant") and not fill
    if numbers is None or min(before, after) < 0:
        return None
    if before or after:
        amounts = call.node.args[1] if len(call.node.args) > 1 else call.node.kwargs["pad"]
        if not zeros or any(isinstance(each, fx.Node) for each in leaves(amounts)):
            return None
        fresh = call.channels.fresh
        numbers = torch.cat([fresh(before), numbers, fresh(after)])
        call.paddings[call.node.name] = numbers.abs(), before, after
    filled = mode in (None, "constant") and bool(fill)
    return spread(-numbers.abs() if filled else numbers, call.value, 1)


#: The rule of each kind of operation.
RULES: dict[str, Callable[[Call], Numbers]] = {
    ADDITIVE: _elementwise,
    COPYING: _copying,
    CREATING: _creating,
    DIVIDING: _dividing,
    ELEMENTWISE: _elementwise,
    FILLING: _filling,
    FLATTEN: _reshaping,
    HALVING: _halving,
    MOVING: _moving,
    MULTIPLICATIVE: _multiplicative,
    PADDING: _padding,
    PARTS: _parts,
    PER_CHANNEL: _per_channel,
    REDUCING: _reducing,
    RESHAPING: _reshaping,
    SELECTING: _selecting,
    SHUFFLING: _shuffling,
}
