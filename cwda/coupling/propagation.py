"""Where each channel of a network goes: one run of its graph with channel numbers for values.

Every element of every value in the graph carries the number of the channel that it belongs to.
An addition ties the channels that meet in it; an operation that only moves elements is carried
out on the numbers themselves, so that its index mapping is exact. The sign tells what a mask
does: +c where the element is exactly 0 once channel c is zeroed, -c where it is not, such as
behind a sigmoid; 0 is a constant. What the rules do not know fixes the channels that enter it:
they are not prunable. Parameters outside layers are values too: the places of a scale are its
channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from cwda.coupling.channels import Channels, compact, constant, spread
from cwda.coupling.layers import Layers, applied
from cwda.coupling.padding import Paddings
from cwda.coupling.rules import RULES, Call, Numbers, leaves
from cwda.coupling.sizes import Sizes
from cwda.progress import Counter, counter
from cwda.tracing.copies import plain_weight
from cwda.tracing.operations import (
    ADDITIVE,
    DIVIDING,
    ELEMENTWISE,
    FILLING,
    FORM,
    MULTIPLICATIVE,
    kind,
)
from cwda.tracing.tracer import computed_tensors

__all__ = ["Propagation"]

_KEEPS_COLUMNS = {ADDITIVE, DIVIDING, ELEMENTWISE, MULTIPLICATIVE}


class Propagation(fx.Interpreter):
    """Carries channel numbers through a graph while it computes an example.

    Parameters
    ----------
    graph : fx.GraphModule
        The traced model.
    model : nn.Module
        The model itself, for the layers into which the trace went.

    Attributes
    ----------
    channels : Channels
        All channels met.
    layers : Layers
        What layers do with them.
    paddings : dict of str to (Tensor, int, int)
        Nodes that add zero channels: the numbers of all their channels, how many are new
        before and after the others.
    places : Paddings
        Where paddings stand in the code.
    refused : dict of str to str
        Layers that no rule follows, and why.
    """

    def __init__(self, graph: fx.GraphModule, model: nn.Module) -> None:
        super().__init__(graph)
        self.model = model
        self.channels = Channels()
        self.layers = Layers(self.channels)
        self.paddings: dict[str, tuple[Tensor, int, int]] = {}
        self.places = Paddings()
        self.refused: dict[str, str] = {}
        self.sizes = Sizes(self.channels)
        self._numbers: dict[fx.Node, Numbers] = {}
        self._done = Counter()
        self._columns: dict[fx.Node, tuple[str, ...]] = {}
        self._mixed: set[fx.Node] = set()  # made of the columns of weights
        tensors = [*model.named_parameters(), *model.named_buffers()]
        self._names = {id(tensor): name for name, tensor in tensors}

    def follow(self, image: Tensor) -> None:
        """Run the graph on an example."""
        with counter("following channels", len(self.graph.nodes)) as self._done:
            self.run(image)
        for n in self.graph.nodes:
            if n.op == "get_attr":
                name = self._canonical(str(n.target))
                axes = {axis: held for (of, axis), held in self.layers.held.items() if of == name}
                self.sizes.note_parameter(n, {axis: held.numbers for axis, held in axes.items()})
        self.sizes.settle()

    def run_node(self, n: fx.Node) -> Any:
        """Compute one node, and the numbers of its result."""
        self._done.advance()
        self._numbers = {each: self._numbers[each] for each in self.env if each in self._numbers}
        versions = {each: _versions(value) for each, value in self.env.items()}
        if n.op == "call_function" and n.all_input_nodes:
            self.places.note(n, self.env[n.all_input_nodes[0]])
        value = super().run_node(n)
        if n.op == "output":
            self._fix_inputs(n, "it reaches the output of the network")
            return value
        numbers = self._of_result(n, value)
        which = ""
        if isinstance(numbers, str):
            numbers, which = None, f", which {numbers}"
        if numbers is None and n.all_input_nodes and kind(n, self.module) != FORM:
            self._fix_inputs(n, f"it enters {_describe(n, self.module)}{which}")
            if n.op == "call_module":
                self.refused[str(n.target)] = _refusal(self.fetch_attr(str(n.target)))
            elif n.meta.get("nn_module_stack"):  # a layer into which the trace went
                path = [*n.meta["nn_module_stack"].values()][-1][0]
                self.refused.setdefault(path, "its forward pass computes its weights")
        if numbers is None:
            numbers = self._unknown(n, value)
        self._numbers[n] = numbers
        self.sizes.note(n, value, self._numbers)
        changed = {node for node, before in versions.items() if before != _versions(self.env[node])}
        if changed:
            self._follow(n, value, changed)
        return value

    # Numbers of results

    def _of_result(self, n: fx.Node, value: Any) -> Numbers:
        """Numbers of a result; None where no rule holds."""
        if n.op == "placeholder":
            return self._fixed(value, "it is tied to the input of the network")
        if n.op == "get_attr":
            return self._of_parameter(n, value)
        if not any(_tensors(self.env[each]) for each in n.all_input_nodes):
            return _mapped(value, lambda each: constant(each.shape))
        args = list(fx.node.map_arg(n.args, self._number_or_value))
        kwargs = dict(fx.node.map_arg(n.kwargs, self._number_or_value))
        kwargs.pop("out", None)  # is written, not read
        return self._by_rule(n, value, args, kwargs)

    def _by_rule(self, n: fx.Node, value: Any, args: list[Any], kwargs: dict[str, Any]) -> Numbers:
        rule = RULES.get(kind(n, self.module))
        values = {"args": args, "kwargs": kwargs}
        try:
            layer = applied(n, self._owner(n), values)
            if layer is not None:
                for name, held in [*layer.names.items()]:
                    layer.names[name] = self._canonical(held)
                return self._compacted(self.layers.apply(layer, value, self._columns_of(n)))
            if rule is None:
                return None
            call = Call(
                n,
                value,
                args,
                kwargs,
                self.channels,
                self._carry_out(n),
                self.paddings,
                self.module,
            )
            numbers = self._compacted(rule(call))
        # Called in a way that the rule does not foresee.
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):
            return None
        self._keep_columns(n, value)
        return numbers

    def _owner(self, n: fx.Node) -> nn.Module:
        return self.module if n.op == "call_module" else self.model

    def _canonical(self, name: str) -> str:
        """The first name of a parameter: one that is shared has several."""
        owner, _, attribute = name.rpartition(".")
        tensor = getattr(self.model.get_submodule(owner), attribute)
        return self._names.get(id(tensor), name)

    def _of_parameter(self, n: fx.Node, value: Any) -> Numbers:
        """A parameter has a channel for each place of its first axis with several places."""
        name = str(n.target)
        axis = next((axis for axis, size in enumerate(value.shape) if size > 1), None)
        owned = id(value) in self._names and value.is_floating_point()
        if axis is None or not owned:
            return constant(value.shape)
        name = self._names[id(value)]
        held = self.layers.held.get((name, axis))
        numbers = self.channels.fresh(value.shape[axis]) if held is None else held.numbers
        if value[0].numel() > 1:
            self._columns[n] = (name,)
        return spread(self.layers.hold(name, axis, numbers, zeroed=True), value, axis)

    def _columns_of(self, n: fx.Node) -> tuple[str, ...]:
        weight = n.args[1] if len(n.args) > 1 else n.kwargs.get("weight")
        return self._columns.get(weight, ()) if isinstance(weight, fx.Node) else ()

    def _keep_columns(self, n: fx.Node, value: Any) -> None:
        """Weights scaled row by row have the columns of the weights that they are made of."""
        weights = [each for each in n.all_input_nodes if each in self._columns]
        mixed = [each for each in n.all_input_nodes if each in self._mixed]
        if not weights and not mixed:
            return
        scaled = kind(n, self.module) in _KEEPS_COLUMNS and isinstance(value, Tensor)
        others = {*n.all_input_nodes} - {*weights}
        by_row = all(_is_by_row(self.env[each]) for each in others)
        same = all(self.env[each].shape == value.shape for each in weights) if scaled else False
        if scaled and same and by_row and not mixed:
            names = {name for each in weights for name in self._columns[each]}
            self._columns[n] = tuple(sorted(names))
        else:
            self._mixed.add(n)

    def _unknown(self, n: fx.Node, value: Any) -> Numbers:
        reason = f"it comes out of {_describe(n, self.module)}"
        return _mapped(value, lambda each: self._fixed(each, reason))

    def _fixed(self, value: Tensor, reason: str) -> Tensor:
        number = self.channels.fresh(1)
        self.channels.fix(number, reason)
        return number.reshape([1] * value.ndim).expand(value.shape)

    def _fix_inputs(self, n: fx.Node, reason: str) -> None:
        for each in n.all_input_nodes:
            for numbers in _tensors(self._numbers.get(each)):
                self.channels.fix(numbers, reason)

    def _number_or_value(self, n: fx.Node) -> Any:
        numbers = self._numbers.get(n)
        return self.env[n] if numbers is None else numbers

    def _carry_out(self, n: fx.Node) -> Any:
        """The operation of a node, for other arguments."""
        return lambda args, kwargs: getattr(self, n.op)(n.target, tuple(args), kwargs)

    def _compacted(self, numbers: Numbers) -> Numbers:
        return numbers if numbers is None or isinstance(numbers, str) else _mapped(numbers, compact)

    # Values changed in place

    def _follow(self, n: fx.Node, value: Any, changed: set[fx.Node]) -> None:
        """Carry a change in place over to all values that share its memory."""
        target, numbers = value, self._numbers[n]
        if kind(n, self.module) == FILLING and isinstance(n.args[0], fx.Node):
            target = self.env[n.args[0]]
        storages = {_storage(leaf) for each in changed for leaf in _tensors(self.env[each])}
        for each in [*self._numbers]:
            shares = [_storage(leaf) in storages for leaf in _tensors(self.env.get(each))]
            if each is n or not any(shares):
                continue
            if each.op == "get_attr" or not isinstance(numbers, Tensor):
                self._fix_changed(each, n)
                continue
            try:
                self._numbers[each] = _mapped_pairs(
                    self.env[each], self._numbers[each], target, numbers
                )
            except (RuntimeError, TypeError, ValueError, AttributeError):
                self._fix_changed(each, n)

    def _fix_changed(self, each: fx.Node, n: fx.Node) -> None:
        reason = f"it is changed in place by {_describe(n, self.module)}"
        for numbers in _tensors(self._numbers[each]):
            self.channels.fix(numbers, reason)
        self._numbers[each] = _mapped(self.env[each], lambda leaf: self._fixed(leaf, reason))


def _is_by_row(value: Any) -> bool:
    """Whether a factor of a weight has one number for each of its rows, or is not a tensor."""
    return not isinstance(value, Tensor) or value.shape[1:].numel() == 1


def _refusal(layer: nn.Module) -> str:
    computed = _computed(layer)
    return f"its {computed}" if computed else "it is fed in a way that no rule follows"


def _computed(layer: nn.Module) -> str:
    """That the weights of a layer are computed, and what makes them stored ones; empty if not."""
    names = computed_tensors(layer)
    if not names:
        return ""
    way = plain_weight(layer, names[0])
    stored = f"; {way} of torch.nn.utils stores them" if way else ""
    return f"weights are computed from other parameters or masks{stored}"


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _versions(value: Any) -> list[int]:
    return [leaf._version for leaf in _tensors(value)]


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(value) if isinstance(leaf, Tensor)]


def _mapped(value: Any, function: Any) -> Any:
    """A function of each tensor in a value, nested as they are; None for anything else."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple) and _tensors(value):
        return tuple(_mapped(each, function) for each in value)
    return None


def _mapped_pairs(value: Any, numbers: Numbers, target: Tensor, new: Tensor) -> Numbers:
    """The numbers of a value of which the part that lies in `target` has new numbers."""
    if isinstance(value, Tensor):
        return _written_through(value, numbers, target, new)
    if isinstance(value, list | tuple):
        pairs = zip(value, numbers, strict=True)
        return tuple(_mapped_pairs(part, old, target, new) for part, old in pairs)
    return numbers


def _written_through(value: Tensor, numbers: Tensor, target: Tensor, new: Tensor) -> Tensor:
    if _storage(value) != _storage(target):
        return numbers
    if _geometry(value) == _geometry(target):
        return new
    size = 1 + max(_last(value), _last(target))
    memory = torch.zeros(size, dtype=torch.int64)
    memory.as_strided(*_geometry(value)).copy_(numbers)
    memory.as_strided(*_geometry(target)).copy_(new)
    return compact(memory.as_strided(*_geometry(value)).clone())


def _geometry(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())


def _last(tensor: Tensor) -> int:
    """The place in memory of the last element."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return int(tensor.storage_offset()) + sum((n - 1) * stride for n, stride in steps)


def _describe(n: fx.Node, root: nn.Module) -> str:
    if n.op == "call_module":
        layer = root.get_submodule(str(n.target))
        computed = _computed(layer)
        whose = f", whose {computed}" if computed else ""
        return f"{n.target} ({type(layer).__name__}){whose}"
    if n.target is getattr:
        return str(n.args[1])
    return getattr(n.target, "__name__", str(n.target))
