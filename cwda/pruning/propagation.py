"""Where each channel of a network goes: one run of its graph with channel numbers for values.

Every element of every value in the graph carries the number of the channel that it belongs to.
An addition ties the channels that meet in it; an operation that only moves elements is carried
out on the numbers themselves, so that its index mapping is exact. The sign tells what a mask
does: +c where the element is exactly 0 once channel c is zeroed, -c where it is not, as behind
a sigmoid. What the rules do not know fixes the channels that enter it: they are not prunable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from cwda.pruning.channels import Channels, along, compact, spread
from cwda.pruning.operations import (
    ADDITIVE,
    ELEMENTWISE,
    FLATTEN,
    MOVING,
    MULTIPLICATIVE,
    PADDING,
    PER_CHANNEL,
    REDUCING,
    RESHAPING,
    kind,
)

__all__ = ["Propagation", "Use"]


@dataclass
class Use:
    """How a layer's weights use channels: those of its rows (outputs) and columns (inputs).

    `columns` is None where each output sees only its own channel. `positions` is the number
    of times that each weight is used for one image.
    """

    module: nn.Module
    rows: Tensor
    columns: Tensor | None
    positions: int


class Propagation(fx.Interpreter):
    """Carries channel numbers through a graph while it computes an example.

    Attributes
    ----------
    channels : Channels
        All channels met.
    uses : dict of str to Use
        Layers with weights, by path.
    paddings : dict of str to (Tensor, int, int, int)
        Nodes that add zero channels: the numbers of all their channels, how many are new
        before and after the others, and where these amounts stand in the argument.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.channels = Channels()
        self.uses: dict[str, Use] = {}
        self.paddings: dict[str, tuple[Tensor, int, int, int]] = {}
        self._numbers: dict[fx.Node, Tensor] = {}
        self._rules: dict[str, Callable[[fx.Node, Tensor, list[Any], dict[str, Any]], Any]] = {
            ADDITIVE: self._arithmetic,
            ELEMENTWISE: self._elementwise,
            FLATTEN: self._reshape,
            MOVING: self._move,
            MULTIPLICATIVE: self._arithmetic,
            PADDING: self._pad,
            PER_CHANNEL: self._per_channel,
            REDUCING: self._reduce,
            RESHAPING: self._reshape,
        }

    def run_node(self, n: fx.Node) -> Any:
        """Compute one node, and the numbers of its result."""
        value = super().run_node(n)
        if n.op == "output":
            self._fix_inputs(n, "it reaches the output of the network")
        elif isinstance(value, Tensor):
            numbers = self._of_result(n, value)
            if numbers is None:
                self._fix_inputs(n, f"it enters {_describe(n, self.module)}")
                numbers = self._fixed(value, f"it comes out of {_describe(n, self.module)}")
            self._numbers[n] = compact(numbers)
        elif _holds_tensor(value):
            self._fix_inputs(n, f"it enters {_describe(n, self.module)}")
        return value

    def _of_result(self, n: fx.Node, value: Tensor) -> Tensor | None:
        """Numbers of a result; None where no rule holds."""
        if n.op == "placeholder":
            return self._fixed(value, "it is tied to the input of the network")
        if n.op == "get_attr":
            return self._fixed(value, "it is tied to a parameter outside a layer")
        args = list(fx.node.map_arg(n.args, self._number_or_value))
        kwargs = dict(fx.node.map_arg(n.kwargs, self._number_or_value))
        tensors = (each for each in n.all_input_nodes if _holds_tensor(self.env[each]))
        if any(each not in self._numbers for each in tensors):
            return None  # part of a tuple that no rule follows
        if n.op == "call_module":
            layer = self._layer(n, value, args)
            if layer is not None:
                return layer
        rule = self._rules.get(kind(n, self.module))
        try:
            return rule(n, value, args, kwargs) if rule else None
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            return None  # called in a way that the rule does not foresee

    def _number_or_value(self, n: fx.Node) -> Any:
        return self._numbers[n] if n in self._numbers else self.env[n]

    def _fixed(self, value: Tensor, reason: str) -> Tensor:
        number = self.channels.fresh(1)
        self.channels.fix(number, reason)
        return number.reshape([1] * value.ndim).expand(value.shape)

    def _fix_inputs(self, n: fx.Node, reason: str) -> None:
        for each in n.all_input_nodes:
            if each in self._numbers:
                self.channels.fix(self._numbers[each], reason)

    # Layers with weights

    def _layer(self, n: fx.Node, value: Tensor, args: list[Any]) -> Tensor | None:
        name = str(n.target)
        module = self.fetch_attr(name)
        if not args or not isinstance(args[0], Tensor) or not _has_plain_weights(module):
            return None
        if isinstance(module, _ConvNd) and value.ndim == module.weight.ndim:
            return self._convolution(name, module, value, args[0])
        if isinstance(module, nn.Linear):
            return self._linear(name, module, value, args[0])
        per_channel = isinstance(module, nn.PReLU) and module.num_parameters > 1
        if per_channel or isinstance(module, _BatchNorm | _InstanceNorm):
            return self._norm(name, module, value, args[0])
        return None

    def _convolution(self, name: str, module: _ConvNd, value: Tensor, x: Tensor) -> Tensor | None:
        columns = along(x, 1)
        if columns is None:
            return None
        places = x if module.transposed else value
        positions = places[0, 0].numel()
        if module.groups == module.in_channels > 1:  # depthwise: filter c sees channel c alone
            repeats = module.out_channels // module.groups
            if repeats > 1:
                self.channels.fix(columns, f"{name} has {repeats} filters for each channel")
            rows = columns.abs().repeat_interleave(repeats)
            rows = self._use(name, module, rows, None, positions)
        else:
            self._consume(name, columns)
            rows = self.channels.fresh(module.out_channels)
            if module.transposed and module.groups > 1:
                for numbers in (rows, columns):
                    self.channels.fix(numbers, f"{name} is a transposed convolution in groups")
            for numbers in (rows, columns):  # each group must keep as many channels
                by_group = numbers.reshape(module.groups, -1)
                self.channels.tie(by_group[:1].expand_as(by_group), by_group)
            rows = self._use(name, module, rows, columns, positions)
        return spread(rows, value, 1)

    def _linear(self, name: str, module: nn.Linear, value: Tensor, x: Tensor) -> Tensor | None:
        columns = along(x, -1)
        if columns is None:
            return None
        self._consume(name, columns)
        positions = value.numel() // module.out_features
        rows = self.channels.fresh(module.out_features)
        return spread(self._use(name, module, rows, columns, positions), value, -1)

    def _norm(self, name: str, module: nn.Module, value: Tensor, x: Tensor) -> Tensor | None:
        rows = along(x, 1)
        if rows is None:
            return None
        self._use(name, module, rows.abs(), None, 0)
        if not isinstance(module, nn.PReLU) and module.affine:
            rows = rows.abs()  # scale and shift of a masked channel are 0, whatever enters
        return spread(rows, value, 1)

    def _use(
        self, name: str, module: nn.Module, rows: Tensor, columns: Tensor | None, positions: int
    ) -> Tensor:
        """Note the use of a layer; one that is used again ties the channels of its uses."""
        columns = None if columns is None else columns.abs()
        known = self.uses.setdefault(name, Use(module, rows, columns, 0))
        known.positions += positions
        self.channels.tie(known.rows, rows)
        if known.columns is not None and columns is not None:
            self.channels.tie(known.columns, columns)
        return rows

    def _consume(self, name: str, numbers: Tensor) -> None:
        """A masked channel must reach the layers that read it as zeros."""
        alive = numbers[numbers < 0]
        self.channels.fix(
            alive, f"a zeroed channel would not be zero where {name} reads it, as behind a sigmoid"
        )

    # Operations without weights

    def _per_channel(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        numbers = along(args[0], 1) if args[0].ndim > 1 else None
        if numbers is None or value.ndim < 2 or value.shape[1] != len(numbers):
            return None
        return spread(numbers, value, 1)

    def _elementwise(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        tensors = [each for each in (*args, *kwargs.values()) if isinstance(each, Tensor)]
        if not isinstance(args[0], Tensor) or len(tensors) > 1 or value.shape != args[0].shape:
            return None
        numbers: Tensor = args[0]
        zero = self._call(n, [value.new_zeros(1, 1, 1, 1), *args[1:]], kwargs)
        return numbers if bool((zero == 0).all()) else -numbers.abs()

    def _arithmetic(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        if len(args) < 2:
            return None
        if not isinstance(args[0], Tensor):  # as in 1 - x
            numbers: Tensor = args[1]
            zero = self._call(n, [args[0], value.new_zeros(1)], kwargs)
            return numbers if bool((zero == 0).all()) else -numbers.abs()
        if not isinstance(args[1], Tensor):
            return self._elementwise(n, value, args, kwargs)
        a, b = torch.broadcast_tensors(args[0], args[1])
        self.channels.tie(a, b)
        one = kind(n, self.module) == MULTIPLICATIVE
        zeroed = (a > 0) | (b > 0) if one else (a > 0) & (b > 0)
        return torch.where(zeroed, a.abs(), -a.abs())

    def _move(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        if isinstance(args[0], Tensor) and len(args) > 1 and not _keeps_channels(n, *args[:2]):
            return None
        moved: Tensor = self._call(n, args, kwargs)
        return moved

    def _reduce(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        numbers, *rest = args
        axes = kwargs.get("dim", rest[0] if rest else tuple(range(numbers.ndim)))
        keep = kwargs.get("keepdim", rest[1] if len(rest) > 1 else False)
        lowest, highest = numbers.amin(axes, keep), numbers.amax(axes, keep)
        return lowest if torch.equal(lowest, highest) else None

    def _reshape(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        x = args[0]
        # A size written into the code would be wrong once channels are gone.
        written = any(isinstance(each, int) and each > 1 for each in _leaves(n.args[1:]))
        if written and kind(n, self.module) == RESHAPING:
            return None
        flat = value.ndim == 2 and x.ndim >= 2 and value.shape[0] == x.shape[0]
        if flat and along(x, 1) is None:
            return None
        same = [s for s in value.shape if s > 1] == [s for s in x.shape if s > 1]
        return x.reshape(value.shape) if flat or same else None

    def _pad(
        self, n: fx.Node, value: Tensor, args: list[Any], kwargs: dict[str, Any]
    ) -> Tensor | None:
        x, pad, mode, fill = (*args, *[None] * 4)[:4]
        pad, mode, fill = (
            kwargs.get(name, given)
            for name, given in (("pad", pad), ("mode", mode), ("value", fill))
        )
        numbers = along(x, 1) if x.ndim > 1 else None
        place = 2 * (x.ndim - 2)  # pairs go from the last axis to the first
        before, after = (*pad, *[0] * (2 * x.ndim))[place : place + 2]
        zeros = mode in (None, "constant") and not fill
        if numbers is None or min(before, after) < 0:
            return None
        if before or after:
            if not zeros or any(isinstance(each, fx.Node) for each in _leaves(n.args[1:])):
                return None
            fresh = self.channels.fresh
            numbers = torch.cat([fresh(before), numbers, fresh(after)])
            self.paddings[n.name] = numbers.abs(), before, after, place
        filled = mode in (None, "constant") and bool(fill)
        return spread(-numbers.abs() if filled else numbers, value, 1)

    def _call(self, n: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Carry the operation of a node out on other arguments."""
        return getattr(self, n.op)(n.target, tuple(args), kwargs)


def _has_plain_weights(module: nn.Module) -> bool:
    """Whether the weights are parameters of the module, and not computed from others."""
    return "weight" in module._parameters or getattr(module, "affine", True) is False


def _keeps_channels(n: fx.Node, numbers: Tensor, index: Any) -> bool:
    """Whether an index takes a part only along axes on which the channel does not change."""
    if kind(n) != MOVING or not _is_indexing(n):
        return True
    items = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(each, int | slice) for each in items):
        return False
    return all(
        item == slice(None) or bool((numbers == numbers.narrow(axis, 0, 1)).all())
        for axis, item in enumerate(items)
    )


def _is_indexing(n: fx.Node) -> bool:
    return getattr(n.target, "__name__", "") == "getitem"


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in _leaves(value))


def _describe(n: fx.Node, root: nn.Module) -> str:
    if n.op == "call_module":
        return f"{n.target} ({type(root.get_submodule(str(n.target))).__name__})"
    return getattr(n.target, "__name__", str(n.target))
