"""Symbolic tracing that knows, on an example, the value behind each symbol.

`torch.fx` alone gives up where Python looks at a value: a test of the shape, a loop over the
parts of a tensor, an optional argument. Here each operation is carried out on the example while it
is recorded, so that such questions have answers. What depends on the elements of a tensor, and
so on the image, is still refused.
"""

from __future__ import annotations

import inspect
import operator
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

__all__ = [
    "DataDependentError",
    "ExampleTracer",
    "LayerTracer",
    "computed_tensors",
    "place_in_forward",
]

# Their arguments are sizes, of which torch takes no symbols.
_FACTORIES = (
    *("zeros", "ones", "full", "empty", "rand", "randn", "randint", "arange", "linspace", "eye"),
    "tensor",
)
# Functions of a tensor that tell its form and not its elements.
_OF_FORM = {"shape", "size", "numel", "nelement", "stride", "storage_offset", "len"}
# Answers that no pruning changes: they are given at once and not recorded.
_SETTLED = {"dim", "ndimension", "is_floating_point", "is_complex", "get_device", "is_contiguous"}


class DataDependentError(Exception):
    """The forward pass takes one way or another by the elements of a tensor."""


class LayerTracer(fx.Tracer):
    """Convolutions and BatchNorms stay whole, also where a library subclasses them.

    Only the first argument of the forward pass is symbolic; all others have their defaults.
    """

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """What to call, and with what."""
        image = self.create_proxy("placeholder", "x", (), {})
        return _call, [self.root, image]

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record a layer, or go into it."""
        if m is self.root:
            return forward(*args, **kwargs)
        if m not in (self.submodule_paths or {}):  # made in the forward pass, or kept in a list
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a layer is one node of the graph."""
        whole = isinstance(m, _ConvNd | _BatchNorm | torch.jit.ScriptModule)
        return whole or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> Any:
        """An argument of a node; parameters that the model does not own are constants."""
        if isinstance(a, fx.Proxy):
            return a.node
        if isinstance(a, nn.Parameter) and not any(a is p for p in self.root.parameters()):
            return super().create_arg(a.detach())
        return super().create_arg(a)


def _call(root: nn.Module, image: Any) -> Any:
    return root(image)


class ExampleTracer(LayerTracer):
    """Carries each operation out on an example as it is recorded.

    Layers of `torch.nn` stay whole; a subclass that computes something else, or a layer with
    hooks, is followed into its own forward pass.
    """

    def __init__(self, example: Tensor, *, whole: bool = False) -> None:
        super().__init__()
        self.proxy_buffer_attributes = True
        self._whole = whole
        self._example = example
        self._carrying_out = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a layer is one node of the graph."""
        if isinstance(m, torch.jit.ScriptModule):
            return True
        if _computes_weights(m) or (self._whole and isinstance(m, _ConvNd | _BatchNorm)):
            return True
        if _hooked(m):
            return False
        if isinstance(m, _ConvNd | _BatchNorm | nn.Linear):
            return _is_plain(m)
        return fx.Tracer.is_leaf_module(self, m, module_qualified_name)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """A parameter or buffer: itself where an operation is carried out, else a symbol."""
        if self._carrying_out:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record a layer, go into it, or carry it out."""
        if self._carrying_out:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *r: Any, **k: Any
    ) -> Any:
        """Record an operation, carry it out, and give a symbol that knows the result."""
        if kind == "call_method" and target in _SETTLED:
            return self._carried_out(kind, target, args, kwargs)
        node = super().create_proxy(kind, target, args, kwargs, *r, **k).node
        value = self._carried_out(kind, target, args, kwargs)
        if kind == "call_function" and target is operator.setitem:
            return None
        if kind == "call_method" and target == "size" and isinstance(value, tuple):
            return Symbol(node, self, value, False).parts()
        return Symbol(node, self, value, _tells_elements(target, value, args, kwargs))

    def _carried_out(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if kind == "placeholder":
            return self._example
        args, kwargs = _values(args), _values(kwargs)
        with self._carried():
            if kind == "call_function":
                return target(*args, **kwargs)
            if kind == "call_method":
                return getattr(args[0], target)(*args[1:], **kwargs)
            attribute: Any = self.root
            for name in target.split("."):
                attribute = getattr(attribute, name)
            return attribute(*args, **kwargs) if kind == "call_module" else attribute

    def trace(self, root: Any, concrete_args: Any = None) -> fx.Graph:
        """The graph of a model."""
        made = {name: getattr(torch, name) for name in _FACTORIES}
        spaces = _namespaces(root)
        try:
            for name, function in made.items():
                setattr(torch, name, self._recorded(function))
            for space in spaces:
                space["isinstance"] = _is_of
            return super().trace(root, concrete_args)
        finally:
            for name, function in made.items():
                setattr(torch, name, function)
            for space in spaces:
                del space["isinstance"]

    def _recorded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            if any(type(leaf) is Symbol for leaf in _leaves((args, kwargs))):
                return self.create_proxy("call_function", function, args, kwargs)
            return function(*args, **kwargs)

        return make

    @contextmanager
    def _carried(self) -> Iterator[None]:
        before, self._carrying_out = self._carrying_out, True
        try:
            yield
        finally:
            self._carrying_out = before


class Symbol(fx.Proxy):
    """A symbol of a graph with its value on the example."""

    def __init__(self, node: fx.Node, tracer: fx.Tracer, value: Any, by_elements: bool) -> None:
        super().__init__(node, tracer)
        self.__dict__["value"] = value
        self.__dict__["by_elements"] = by_elements

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """What `isinstance` is told: the type of the value, of numbers and tuples.

        Not of tensors: torch itself asks, and then takes the memory for a tensor's.
        """
        value = self.__dict__["value"]
        return Symbol if isinstance(value, Tensor) else type(value)

    def __getattr__(self, name: str) -> Any:
        value = self.__dict__["value"]
        held = getattr(value, name)
        if callable(held):
            return _Method(self, name)
        if name == "shape":
            return self._attribute(name).parts()
        return self._attribute(name) if isinstance(held, Tensor) else held

    def _attribute(self, name: str) -> Symbol:
        attribute: Any = self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return cast("Symbol", attribute)

    def parts(self) -> tuple[Any, ...]:
        """A symbol for each part of a value that has parts."""
        at: Any = self
        return tuple(at[place] for place in range(len(self.value)))

    def concrete(self) -> Any:
        """The value, where Python asks for it.

        Raises
        ------
        DataDependentError
            If it depends on the elements of a tensor.
        """
        if self.by_elements or isinstance(self.value, Tensor):
            raise DataDependentError
        return self.value

    def __bool__(self) -> bool:
        self.node.meta["asked"] = True
        return bool(self.concrete())

    def __int__(self) -> int:
        return int(self.concrete())

    def __index__(self) -> int:
        return operator.index(self.concrete())

    def __float__(self) -> float:
        return float(self.concrete())

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.value, Mapping):
            return iter(self.value)
        return iter(self.parts())

    def __contains__(self, item: Any) -> bool:
        if isinstance(self.value, Tensor):
            raise DataDependentError
        return item in self.value

    def __setitem__(self, key: Any, item: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, key, item), {})

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self  # as where a forward pass copies its own list of results


class _Method:
    """A method of a symbol, to be called."""

    def __init__(self, symbol: Symbol, name: str) -> None:
        self.symbol, self.name = symbol, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arguments = (self.symbol, *args)
        return self.symbol.tracer.create_proxy("call_method", self.name, arguments, kwargs)


def _in_place(name: str) -> Any:
    """`x += y`: changes a tensor, but makes a new number."""

    def change(self: Symbol, other: Any) -> Any:
        plain = name if not isinstance(self.value, Tensor) else f"i{name}"
        function = getattr(operator, plain)
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return change


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    if hasattr(operator, f"i{_name}") and hasattr(operator, _name):
        setattr(Symbol, f"__i{_name}__", _in_place(_name))


def _namespaces(root: nn.Module) -> list[dict[str, Any]]:
    """Where the code of a model looks up names: there `isinstance` must know symbols.

    Elsewhere it must not: torch itself would take the memory of a symbol for a tensor's.
    """
    spaces: dict[int, dict[str, Any]] = {}
    for part in root.modules():
        if isinstance(part, torch.jit.ScriptModule):
            continue
        space = getattr(inspect.unwrap(type(part).forward), "__globals__", {})
        home = str(space.get("__name__", "torch"))
        if home.partition(".")[0] not in ("torch", "cwda") and "isinstance" not in space:
            spaces[id(space)] = space
    return [*spaces.values()]


def _is_of(value: Any, kinds: Any) -> bool:
    """`isinstance`, by the value of a symbol."""
    inner = value.value if type(value) is Symbol else value
    return isinstance(inner, kinds)


def place_in_forward(error: BaseException) -> str:
    """Where in the code of a model an error arose: file and line; empty if not there."""
    own = ("torch/", "cwda/tracing/tracer.py")
    frames = traceback.extract_tb(error.__traceback__)
    names = [frame for frame in frames if not any(part in frame.filename for part in own)]
    inside = [frame for frame in names if "cwda/pruning" not in frame.filename]
    if not inside:
        return ""
    frame = inside[-1]
    line = f": {frame.line}" if frame.line else ""
    return f"line {frame.lineno} of {frame.filename.rpartition('/')[2]}{line}"


def _tells_elements(target: Any, value: Any, args: Any, kwargs: Any) -> bool:
    """Whether a value that is not a tensor was computed from the elements of one."""
    if any(isinstance(leaf, Tensor) for leaf in _leaves(value)):
        return False
    symbols = [leaf for leaf in _leaves((args, kwargs)) if type(leaf) is Symbol]
    name = args[1] if target is getattr else getattr(target, "__name__", target)
    of_form = name in _OF_FORM
    return any(s.by_elements or (isinstance(s.value, Tensor) and not of_form) for s in symbols)


def _values(given: Any) -> Any:
    """The values of symbols, in whatever they are nested."""
    if type(given) is Symbol:
        return given.value
    if isinstance(given, tuple) and hasattr(given, "_fields"):
        return type(given)(*map(_values, given))
    if isinstance(given, list | tuple):
        return type(given)(map(_values, given))
    if isinstance(given, dict):
        return {key: _values(item) for key, item in given.items()}
    if isinstance(given, slice):
        return slice(*map(_values, (given.start, given.stop, given.step)))
    return given


def _leaves(value: Any) -> Iterator[Any]:
    if type(value) is not Symbol and isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    elif type(value) is not Symbol and isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, slice):
        yield from (value.start, value.stop, value.step)
    else:
        yield value


def _computes_weights(m: nn.Module) -> bool:
    """Whether a layer's weight is not its parameter, such as with weight normalisation."""
    return bool(computed_tensors(m)) and nn.Module not in type(m).__bases__


def computed_tensors(m: nn.Module) -> list[str]:
    """The weights and biases of a layer that are not its parameters."""
    if not isinstance(m, _ConvNd | nn.Linear | _BatchNorm):
        return []
    return [
        name
        for name in ("weight", "bias")
        if name not in m._parameters and isinstance(getattr(m, name, None), Tensor)
    ]


def _hooked(m: nn.Module) -> bool:
    return bool(m._forward_hooks or m._forward_pre_hooks)


def _is_plain(m: nn.Module) -> bool:
    """Whether a layer computes what its class in torch.nn does, and nothing else."""
    own = {*vars(m)} & {"forward", "_conv_forward"}
    return not own and all(
        _home(type(m), method).startswith("torch.nn.modules.")
        for method in ("forward", "_conv_forward", "__call__")
        if hasattr(type(m), method)
    )


def _home(kind: type, method: str) -> str:
    """The module in which the class is that defines a method."""
    return next((each.__module__ for each in kind.__mro__ if method in vars(each)), "")
