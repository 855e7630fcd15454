"""What the weight input of a convolution holds, followed back to stored tensors.

A value knows its shape, its type and how to compute it; nothing is computed before it is
asked for. Shapes come from formulas where these are plain, else from torch's meta tensors,
which hold no memory (but take two seconds to set up).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from cwda.containers.tensors import printable
from cwda.errors import CwdaError, UnreadableError
from cwda.onnx_files.graph import Attribute, Node, Scope
from cwda.onnx_files.tensors import Constant

__all__ = [
    "Call",
    "Computation",
    "Outcome",
    "Rule",
    "Unknown",
    "UnknownValueError",
    "Value",
    "Values",
]

Computation = Callable[..., Tensor]
_T = TypeVar("_T")

#: Operators one after another, and all together, behind a weight.
_MAX_DEPTH, _MAX_OPERATORS = 64, 128
#: Elements that a value may always have, and beyond which it must not outgrow what is stored.
_MAX_GROWTH = 1 << 22
#: Elements computed for one weight, in units of its largest stored tensor.
_MAX_EFFORT = 16
_FAULTS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, ArithmeticError)


class UnknownValueError(Exception):
    """A value that cannot be known from what is stored; the text says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Unknown:
    """Why a value is not known, and the stored tensors that are part of it."""

    reason: str
    stored: tuple[Constant, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """A stored tensor, or the outcome of operators on stored tensors.

    Attributes
    ----------
    shape, dtype : tuple of int, torch.dtype
    inputs : tuple of Value or None
        None for an optional input that is not given.
    compute : callable
        From the inputs' tensors to this one.
    key : int
        Equal for values that are computed alike from the same stored tensors.
    operator : str
        Empty for a stored tensor.
    constant : Constant or None
        The stored tensor.
    kind : int
        Element type by ONNX's number, 0 where it is not stored.
    depth, effort : int
        Operators behind it one after another, and elements computed for this one alone.
    largest : int
        Elements of the largest stored tensor behind it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    inputs: tuple[Value | None, ...]
    compute: Computation
    key: int
    operator: str = ""
    constant: Constant | None = None
    kind: int = 0
    depth: int = 0
    effort: int = 0
    largest: int = 0

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    def behind(self) -> list[Value]:
        """This value and all behind it, inputs first, each once."""
        done: dict[int, Value] = {}
        stack: list[tuple[Value, bool]] = [(self, False)]
        while stack:
            value, ready = stack.pop()
            if ready:
                done[id(value)] = value
            elif id(value) not in done:
                stack.append((value, True))
                stack += [(v, False) for v in value.inputs if v is not None and id(v) not in done]
            if len(stack) + len(done) > 16 * _MAX_OPERATORS:
                raise UnknownValueError(f"computed by more than {_MAX_OPERATORS} operators")
        return list(done.values())

    def constants(self) -> tuple[Constant, ...]:
        """The stored tensors behind it; none if there are too many."""
        try:
            return tuple(part.constant for part in self.behind() if part.constant)
        except UnknownValueError:
            return ()

    def read(self) -> Tensor:
        """The values, in memory of their own."""
        made: dict[int, Tensor] = {}
        try:
            for value in self.behind():
                inputs = (None if v is None else made[id(v)] for v in value.inputs)
                made[id(value)] = value.compute(*inputs)
        except CwdaError:
            raise
        except _FAULTS as error:
            raise UnreadableError(f"a weight cannot be computed ({type(error).__name__})") from None
        # A view of one's own memory need not be copied; one of another's elements must be.
        return made[id(self)].contiguous()


@dataclass(frozen=True, slots=True)
class Call:
    """A node on the way to a weight, for the rule of its operator.

    Attributes
    ----------
    operator : str
    values : list of Value or None
        Its inputs; None where one is not given.
    attribute : callable
        An attribute by its name, or None.
    output : int
        Which of its outputs is wanted.
    outputs : int
        How many it has.
    """

    operator: str
    values: list[Value | None]
    attribute: Callable[[str], Attribute | None]
    output: int = 0
    outputs: int = 1

    def number(self, name: str, default: int) -> int:
        """An integer attribute."""
        attribute = self.attribute(name)
        return default if attribute is None or attribute.number is None else attribute.number

    def numbers(self, name: str) -> list[int] | None:
        """An attribute of integers, None if it is not given."""
        attribute = self.attribute(name)
        return None if attribute is None else attribute.numbers

    def value(self, place: int) -> Value:
        """An input that must be there."""
        value = self.values[place] if place < len(self.values) else None
        if value is None:
            raise UnknownValueError(f"{self.operator} lacks an input")
        return value

    def given(self, place: int) -> bool:
        """Whether an optional input is given."""
        return place < len(self.values) and self.values[place] is not None

    def integers(self, place: int) -> list[int]:
        """An input of a few integers, such as a shape or axes, read now."""
        value = self.value(place)
        if value.numel > 1024 or value.dtype.is_floating_point or value.dtype.is_complex:
            raise UnknownValueError(f"{self.operator} has an impossible shape or axis")
        if sum(part.effort for part in value.behind()) > 1 << 16:
            raise UnknownValueError(f"the shape given to {self.operator} is computed at length")
        try:
            return [int(number) for number in value.read().flatten().tolist()]
        except UnreadableError as error:
            raise UnknownValueError(str(error)) from None


#: Shape and type of a value.
Outcome = tuple[tuple[int, ...], torch.dtype]
#: The rule of an operator: which inputs its computation takes, and the computation.
Rule = Callable[[Call], tuple[tuple[int, ...], Computation]]


@dataclass
class Values:
    """Finds values by name; each name once.

    Attributes
    ----------
    rules : mapping
        The rule of each operator that can be computed.
    outcome : callable
        Shape and type of what a node makes, where a formula is at hand, else None.
    left : int
        Elements that may still be computed for all weights together.
    """

    rules: dict[str, Rule]
    outcome: Callable[[Call], Outcome | None]
    left: int
    _known: dict[tuple[int, str], Value | Unknown] = field(default_factory=dict)
    _stored: dict[int, Value] = field(default_factory=dict)
    _keys: dict[Hashable, int] = field(default_factory=dict)
    _approved: set[int] = field(default_factory=set)

    def of(self, scope: Scope, name: str, depth: int = 0) -> Value | Unknown:
        """The value of a name in a scope."""
        key = (id(scope), name)
        if key in self._known:
            return self._known[key]
        if depth > _MAX_DEPTH:
            return Unknown(f"computed through more than {_MAX_DEPTH} operators")
        self._known[key] = Unknown("computed from itself")
        try:
            value = self._find(scope, name, depth)
        except (UnknownValueError, UnreadableError) as error:
            value = Unknown(str(error))
        self._known[key] = value
        return value

    def stored(self, constant: Constant) -> Value:
        """The value of a stored tensor."""
        if constant.dtype is None:
            raise UnknownValueError(constant.reason)
        if id(constant) not in self._stored:
            self._stored[id(constant)] = Value(
                constant.shape,
                constant.dtype,
                (),
                constant.read,
                self._key(("stored", id(constant))),
                constant=constant,
                kind=constant.kind,
                effort=math.prod(constant.shape),
                largest=math.prod(constant.shape),
            )
        return self._stored[id(constant)]

    def apply(
        self,
        operator: str,
        inputs: tuple[Value | None, ...],
        compute: Computation,
        details: Hashable,
        outcome: Outcome | None = None,
    ) -> Value:
        """The outcome of an operator; `details` tell it from others of the same inputs.

        Its shape and type are computed where they are not known.
        """
        depth = 1 + max((value.depth for value in inputs if value), default=0)
        if depth > _MAX_DEPTH:
            raise UnknownValueError(f"computed through more than {_MAX_DEPTH} operators")
        shape, dtype = outcome or _outcome(operator, inputs, compute)
        largest = max((value.largest for value in inputs if value), default=0)
        if math.prod(shape) > max(largest, _MAX_GROWTH):
            raise UnknownValueError("expanded: it has more elements than the file stores")
        inner = inputs[0].shape[-1] if operator == "MatMul" and inputs[0] is not None else 1
        key = self._key((operator, details, tuple(value.key if value else 0 for value in inputs)))
        return Value(
            shape,
            dtype,
            inputs,
            compute,
            key,
            operator,
            depth=depth,
            effort=math.prod(shape) * inner + 1000,
            largest=largest,
        )

    def weight(self, value: Value) -> Value | Unknown:
        """The value if it is of reasonable size and effort, as a weight must be."""
        if value.key in self._approved:
            return value
        stored = value.constants()
        try:
            behind = value.behind()
            if len(behind) > _MAX_OPERATORS:
                raise UnknownValueError(f"computed by more than {_MAX_OPERATORS} operators")
            effort = sum(part.effort for part in behind)
            if effort > _MAX_EFFORT * max(value.largest, _MAX_GROWTH) or effort > self.left:
                raise UnknownValueError("computed at more length than any weight")
        except UnknownValueError as error:
            return Unknown(str(error), stored)
        self.left -= effort
        self._approved.add(value.key)
        return value

    def _key(self, description: Hashable) -> int:
        return self._keys.setdefault(description, len(self._keys) + 1)

    def _find(self, scope: Scope, name: str, depth: int) -> Value | Unknown:
        around: Scope | None = scope
        while around is not None:
            graph = around.graph
            if name in graph.tensors:
                return self.stored(graph.tensors[name])
            if name in graph.sparse:
                raise UnknownValueError("a sparse tensor")
            if name in graph.producers:
                node, output = graph.producers[name]
                return self._made(around, node, output, depth)
            if name in around.bindings:
                return self.of(*around.bindings[name], depth + 1)
            if name in graph.inputs:
                place = "the model" if around.parent is None else "a subgraph"
                raise UnknownValueError(f"given from outside: an input of {place}")
            around = around.parent
        raise UnknownValueError("made by no operator of the model")

    def _made(self, scope: Scope, node: Node, output: int, depth: int) -> Value | Unknown:
        """What a node makes."""
        function = scope.called(node)
        if function is not None:
            if output >= len(function.outputs):
                raise UnknownValueError(f"an output that {printable(node.operator)} does not have")
            return self.of(scope.enter(node, function), function.outputs[output], depth + 1)
        if node.operator == "Constant" and node.standard:
            return self._constant(scope, node)
        name = printable(node.operator)[:80]
        rule = self.rules.get(node.operator)
        if rule is None or node.cut:
            return Unknown(f"computed by {name}, which is not evaluated", _nearby(scope, node))
        values: list[Value | None] = []
        for place in node.inputs:
            value = self.of(scope, place, depth + 1) if place else None
            if isinstance(value, Unknown):
                return Unknown(value.reason, value.stored or _nearby(scope, node))
            values.append(value)
        call = Call(name, values, lambda key: scope.attribute(node, key), output, len(node.outputs))
        try:
            places, compute = _ruled(rule, call)
            if not places:  # an operator that hands its input on
                return call.value(0)
            inputs = tuple(call.values[p] if call.given(p) else None for p in places)
            outcome = _ruled(self.outcome, call)
            return self.apply(name, inputs, compute, self._details(scope, node, output), outcome)
        except UnknownValueError as error:
            return Unknown(str(error), _nearby(scope, node))

    def _details(self, scope: Scope, node: Node, output: int) -> Hashable:
        attributes = ((name, scope.attribute(node, name)) for name in sorted(node.attributes))
        # Inputs that were read as shapes or axes are told apart by their keys.
        others = tuple(getattr(self.of(scope, name), "key", 0) for name in node.inputs if name)
        return (output, others, tuple((name, item.key()) for name, item in attributes if item))

    def _constant(self, scope: Scope, node: Node) -> Value:
        """The value of a Constant node."""
        tensor = scope.attribute(node, "value")
        if tensor is not None and tensor.tensor is not None:  # of the node that calls a function
            return self.stored(tensor.tensor)
        for kind, dtype in (("float", torch.float32), ("int", torch.int64)):
            single, several = (scope.attribute(node, f"value_{kind}{s}") for s in ("", "s"))
            content: float | list[int] | list[float] | None = None
            if single is not None:
                content = single.real if kind == "float" else single.number
            elif several is not None:
                content = several.reals if kind == "float" else several.numbers
            if content is not None:
                made = torch.tensor(content, dtype=dtype)
                key = self._key(("constant", str(content), kind))
                return Value(tuple(made.shape), dtype, (), made.clone, key)
        raise UnknownValueError("a constant that is sparse or not a number")


def _ruled(rule: Callable[[Call], _T], call: Call) -> _T:
    """What a rule says of a node; damaged attributes may reach any of its lines."""
    try:
        return rule(call)
    except UnreadableError as error:
        raise UnknownValueError(str(error)) from None
    except _FAULTS:
        raise UnknownValueError(f"{call.operator} does not fit its inputs") from None


def _nearby(scope: Scope, node: Node) -> tuple[Constant, ...]:
    """The stored tensors that a node takes directly."""
    stored = (scope.stored(name) for name in node.inputs)
    return tuple(constant for constant in stored if constant is not None)


def _outcome(operator: str, inputs: tuple[Value | None, ...], compute: Computation) -> Outcome:
    """Shape and type of what an operator makes, found out without values."""
    try:
        made = compute(*(_shadow(value) for value in inputs))
    except CwdaError:
        raise
    except _FAULTS:
        raise UnknownValueError(f"{operator} does not fit its inputs") from None
    return tuple(made.shape), made.dtype


def _shadow(value: Value | None) -> Tensor | None:
    """A tensor of the value's shape and type without memory."""
    return None if value is None else torch.empty(value.shape, dtype=value.dtype, device="meta")
