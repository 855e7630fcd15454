"""What layers with weights do to channel numbers, and what they note of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from cwda.brief import brief
from cwda.coupling.channels import Channels, along, spread
from cwda.tracing.operations import is_torch_layer

__all__ = ["Applied", "Held", "Layers", "Reading", "Use", "applied"]

#: Arguments of the functions that layers of torch.nn call.
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_CONVOLUTION[:5], "output_padding", "groups", "dilation")
_ARGUMENTS: dict[Any, tuple[str, ...]] = {
    F.conv1d: _CONVOLUTION,
    F.conv2d: _CONVOLUTION,
    F.conv3d: _CONVOLUTION,
    F.conv_transpose1d: _TRANSPOSED,
    F.conv_transpose2d: _TRANSPOSED,
    F.conv_transpose3d: _TRANSPOSED,
    F.linear: ("input", "weight", "bias"),
    F.batch_norm: ("input", "running_mean", "running_var", "weight", "bias"),
    F.instance_norm: ("input", "running_mean", "running_var", "weight", "bias"),
    F.prelu: ("input", "weight"),
    torch.prelu: ("input", "weight"),
}


#: Tensors of layers that have a place for each channel.
_VECTORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(eq=False)
class Held:
    """One axis of a parameter or buffer: the channel of each of its places.

    `zeroed` says whether masks zero it: the outputs of a layer, and not its inputs.
    """

    numbers: Tensor
    zeroed: bool

    __repr__ = brief


@dataclass(eq=False)
class Use:
    """How a layer's weights use channels: those of its rows (outputs) and columns (inputs).

    `columns` is None where each output sees only its own channel. `positions` is the number
    of times that each weight is used for the example.
    """

    kind: str
    rows: Tensor
    columns: Tensor | None
    groups: int
    kernel: int
    positions: int


@dataclass(frozen=True, eq=False)
class Reading:
    """Where a layer reads channels: a node of the graph, the axis of its input, the channels."""

    node: str
    layer: str
    axis: int
    numbers: Tensor

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Applied:
    """A layer as one node of a graph applies it: what, whose weights, and to what.

    `given` holds the arguments by name: values where they are not tensors, else channel
    numbers. `names` holds the names of parameters and buffers given as they are. `written` says
    whether `groups` is a number that no layer holds.
    """

    kind: str
    name: str
    node: str
    given: dict[str, Any]
    names: dict[str, str]
    shape: torch.Size
    transposed: bool
    groups: int
    written: bool = False

    __repr__ = brief


class Layers:
    """Notes the uses of layers.

    Parameters
    ----------
    channels : Channels
        All channels.

    Attributes
    ----------
    uses : dict of str to Use
        By the path of the layer.
    held : dict of (str, int) to Held
        By the name of a parameter or buffer and one of its axes.
    readings : list of Reading
        Where channels are read.
    """

    def __init__(self, channels: Channels) -> None:
        self.channels = channels
        self.uses: dict[str, Use] = {}
        self.held: dict[tuple[str, int], Held] = {}
        self.readings: list[Reading] = []

    def hold(self, name: str, axis: int, numbers: Tensor, zeroed: bool) -> Tensor:
        """Note an axis of a parameter; where it is known already, its channels are tied."""
        held = self.held.setdefault((name, axis), Held(numbers.abs(), zeroed))
        held.zeroed = held.zeroed or zeroed
        self.channels.tie(held.numbers, numbers)
        return held.numbers

    def apply(self, layer: Applied, value: Tensor, columns_of: tuple[str, ...]) -> Tensor | None:
        """The numbers of a layer's result; None where no rule holds.

        `columns_of` are the parameters of which the columns of a computed weight are columns.
        """
        rule: Callable[..., Tensor | None] = {
            "convolution": self._convolution,
            "linear": self._linear,
            "norm": self._norm,
        }[layer.kind]
        return rule(layer, value, columns_of)

    def _convolution(
        self, layer: Applied, value: Tensor, columns_of: tuple[str, ...]
    ) -> Tensor | None:
        x, shape, groups = layer.given["input"], layer.shape, layer.groups
        columns = along(x, 1)
        if columns is None or value.ndim != len(shape):
            return None
        places = x if layer.transposed else value
        # Layers may see several images, or parts of them, for one that the network is given.
        positions, kernel = places[:, 0].numel(), math.prod(shape[2:])
        self._read(layer, 1, columns)
        inputs, outputs = len(columns), value.shape[1]
        if groups == inputs > 1:  # depthwise: filter c sees channel c alone
            repeats = outputs // groups
            if repeats > 1:
                reason = f"{layer.name} has {repeats} filters for each channel"
                self.channels.fix(columns, reason)
            if layer.written:
                reason = f"{layer.node} is given the number of groups as a number in the code"
                self.channels.fix(columns, reason)
            rows = columns.abs().repeat_interleave(repeats)
            if not self._weights(layer, 0, rows if not layer.transposed else columns):
                return None
            columns_used = None
        else:
            rows = self.channels.fresh(outputs)
            if layer.transposed and groups > 1:
                for numbers in (rows, columns):
                    reason = f"{layer.name} is a transposed convolution in groups"
                    self.channels.fix(numbers, reason)
            for numbers in (rows, columns):  # each group must keep as many channels
                by_group = numbers.reshape(groups, -1)
                self.channels.tie(by_group[:1].expand_as(by_group), by_group)
            axis = int(layer.transposed)
            if not self._weights(layer, axis, rows[: shape[axis]]):
                return None
            self._columns(layer, 1 - axis, columns[: shape[1 - axis]], columns_of)
            columns_used = columns
        self._bias(layer, rows)
        return spread(self._use(layer, rows, columns_used, kernel, positions), value, 1)

    def _linear(self, layer: Applied, value: Tensor, columns_of: tuple[str, ...]) -> Tensor | None:
        columns = along(layer.given["input"], -1)
        if columns is None:
            return None
        self._read(layer, -1, columns)
        rows = self.channels.fresh(value.shape[-1])
        if not self._weights(layer, 0, rows):
            return None
        self._columns(layer, 1, columns, columns_of)
        self._bias(layer, rows)
        positions = value.numel() // len(rows)
        return spread(self._use(layer, rows, columns, 1, positions), value, -1)

    def _norm(self, layer: Applied, value: Tensor, _: tuple[str, ...]) -> Tensor | None:
        rows = along(layer.given["input"], 1) if value.ndim > 1 else None
        if rows is None:
            return None
        signs = {"input": rows}
        for name in ("weight", "bias", "running_mean", "running_var"):
            numbers = self._vector(layer, name, rows.abs())
            if numbers is False:
                return None
            if isinstance(numbers, Tensor):
                signs[name] = numbers
        if layer.name:
            self._use(layer, rows.abs(), None, 0, 0)
        return spread(torch.where(_stays_zero(signs), rows.abs(), -rows.abs()), value, 1)

    def _vector(self, layer: Applied, name: str, rows: Tensor) -> Tensor | bool:
        """Numbers of a vector with a place for each channel; True if absent, False if unfit."""
        if name in layer.names:
            return self.hold(layer.names[name], 0, rows, name != "running_var")
        given = layer.given.get(name)
        if not isinstance(given, Tensor):
            return True
        if given.shape != rows.shape:  # one slope for all channels
            return given.numel() == 1
        self.channels.tie(given, rows)
        if not given.all():
            self.channels.fix(rows, "it meets a constant with a place for each channel")
        return given

    def _weights(self, layer: Applied, axis: int, rows: Tensor) -> bool:
        """Tie the rows of a weight to the outputs of its layer."""
        if "weight" in layer.names:
            self.hold(layer.names["weight"], axis, rows, zeroed=True)
            return True
        numbers = along(layer.given["weight"], axis)
        if numbers is None or bool((numbers <= 0).any()):
            return False
        self.channels.tie(numbers, rows)
        return True

    def _columns(self, layer: Applied, axis: int, columns: Tensor, of: tuple[str, ...]) -> None:
        names = (layer.names["weight"],) if "weight" in layer.names else of
        if not names:
            reason = f"the weights of {layer.name} are computed from those of all its inputs"
            self.channels.fix(columns, reason)
        for name in names:
            self.hold(name, axis, columns, zeroed=False)

    def _bias(self, layer: Applied, rows: Tensor) -> None:
        bias = self._vector(layer, "bias", rows)
        if bias is False or (isinstance(bias, Tensor) and bool((bias < 0).any())):
            self.channels.fix(rows, f"the bias of {layer.name} does not become 0")

    def _use(
        self, layer: Applied, rows: Tensor, columns: Tensor | None, kernel: int, positions: int
    ) -> Tensor:
        """Note the use of a layer; one that is used again ties the channels of its uses."""
        columns = None if columns is None else columns.abs()
        groups = 1 if columns is None else layer.groups
        first = Use(layer.kind, rows, columns, groups, kernel, 0)
        use = self.uses.setdefault(layer.name, first)
        if use.rows.shape != rows.shape or use.kind != layer.kind:
            # The weights of one layer in another operation, as transposed in a decoder.
            use = self.uses.setdefault(f"{layer.name} in {layer.node}", first)
        use.positions += positions
        self.channels.tie(use.rows, rows)
        if use.columns is not None and columns is not None:
            self.channels.tie(use.columns, columns)
        return rows

    def _read(self, layer: Applied, axis: int, numbers: Tensor) -> None:
        """A masked channel must reach the layers that read it as zeros."""
        self.readings.append(Reading(layer.node, layer.name, axis, numbers.abs()))
        reason = f"a zeroed channel would not be zero where {layer.name} reads it"
        why = "as behind a sigmoid or a constant that is added"
        self.channels.fix(numbers[numbers < 0], f"{reason}, {why}")


def _stays_zero(signs: dict[str, Tensor]) -> Tensor:
    """Where a normalised channel is zero once it is masked: scaled by 0, or 0 as it comes."""
    zero = {name: numbers > 0 for name, numbers in signs.items()}
    always = torch.ones_like(signs["input"], dtype=torch.bool)
    result = zero["input"] & zero.get("running_mean", always)
    if "weight" in zero and len(signs) > 2:  # a PReLU has its weight alone, and no shift
        result = result | zero["weight"]
    return result & zero.get("bias", always)


def applied(n: fx.Node, root: nn.Module, values: dict[str, Any]) -> Applied | None:
    """The layer that a node applies; None if it applies none that is known.

    `values` has the channel numbers, or else the values, of what the node is given: "args" and
    "kwargs".
    """
    if n.op == "call_module":
        return _of_module(n, root.get_submodule(str(n.target)), values)
    if n.op == "call_function" and n.target in _ARGUMENTS:
        return _of_function(n, root, values)
    return None


def _of_module(n: fx.Node, module: nn.Module, values: dict[str, Any]) -> Applied | None:
    name, given = str(n.target), values["args"]
    if not given or not isinstance(given[0], Tensor) or not is_torch_layer(module):
        return None
    kind = _kind_of(module)
    held = {**module._parameters, **module._buffers}
    names = {each: f"{name}.{each}" for each in _VECTORS if held.get(each) is not None}
    if any(isinstance(getattr(module, each, None), Tensor) for each in {*_VECTORS} - {*names}):
        return None  # it is computed
    if not kind or (kind != "norm" and "weight" not in names):
        return None
    if isinstance(module, nn.PReLU) and module.num_parameters == 1:
        names = {}  # one slope for all channels
    weight = held.get("weight")
    shape = torch.Size() if weight is None else weight.shape
    transposed = isinstance(module, _ConvNd) and module.transposed
    groups = module.groups if isinstance(module, _ConvNd) else 1
    return Applied(kind, name, n.name, {"input": given[0]}, names, shape, transposed, groups)


def _kind_of(module: nn.Module) -> str:
    if isinstance(module, _ConvNd):
        return "convolution"
    if isinstance(module, nn.Linear):
        return "linear"
    return "norm" if isinstance(module, _BatchNorm | _InstanceNorm | nn.PReLU) else ""


def _of_function(n: fx.Node, root: nn.Module, values: dict[str, Any]) -> Applied | None:
    arguments = _ARGUMENTS[n.target]
    given = dict(zip(arguments, values["args"], strict=False)) | values["kwargs"]
    nodes = dict(zip(arguments, n.args, strict=False)) | n.kwargs
    if not isinstance(given.get("input"), Tensor):
        return None
    names = {
        name: str(node.target)
        for name, node in nodes.items()
        if isinstance(node, fx.Node) and node.op == "get_attr" and name != "input"
    }
    weight = given.get("weight")
    shape = weight.shape if isinstance(weight, Tensor) else torch.Size()
    transposed = arguments is _TRANSPOSED
    kind = "convolution" if "groups" in arguments else "norm"
    kind = "linear" if n.target is F.linear else kind
    groups = int(given.get("groups", 1)) if kind == "convolution" else 1
    name = _owner(n, root, names)
    layer = dict(root.named_modules()).get(name)
    written = isinstance(nodes.get("groups"), int) and not isinstance(layer, _ConvNd)
    return Applied(kind, name, n.name, given, names, shape, transposed, groups, written)


def _owner(n: fx.Node, root: nn.Module, names: dict[str, str]) -> str:
    """The path of the layer whose forward pass this is, or that has the weights."""
    stack = n.meta.get("nn_module_stack") or {}
    inside = next((path for path, _ in reversed([*stack.values()])), "")
    module = root.get_submodule(inside)
    if isinstance(module, _ConvNd | _BatchNorm | _InstanceNorm | nn.Linear | nn.PReLU):
        return inside
    held = next((names[name] for name in ("weight", "running_mean", "bias") if name in names), "")
    return held.rpartition(".")[0] or (held or n.name)
