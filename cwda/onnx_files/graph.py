"""The graph of an ONNX model: nodes, subgraphs and functions, and where a name comes from.

Field numbers are those of ``onnx.proto``. Subgraphs (If, Loop, Scan) see the names around
them; a function of the model is entered anew at each node that calls it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cwda.containers.protobuf import Message, Value, varints
from cwda.containers.tensors import printable
from cwda.errors import UnreadableError
from cwda.onnx_files.tensors import Constant, ExternalData, read_tensor, text

__all__ = ["Attribute", "Graph", "Node", "Scope", "graphs", "operators", "read_graph", "walk"]

#: Inputs, outputs and numbers of an attribute that are kept.
_MAX_NAMES, _MAX_NUMBERS = 64, 1024
#: Graphs inside one another, and nodes that are visited when functions are entered.
_MAX_DEPTH, MAX_NODES = 16, 1_000_000

_Key = tuple[str, str]

#: Under which PyTorch's exporter notes the modules around an operator.
_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(slots=True)
class Attribute:
    """An attribute of a node; `ref` names the attribute of the calling node that gives it."""

    number: int | None = None
    real: float | None = None
    string: str = ""
    tensor: Constant | None = None
    sparse: bool = False
    numbers: list[int] = field(default_factory=list)
    reals: list[float] = field(default_factory=list)
    graphs: list[Graph] = field(default_factory=list)
    ref: str = ""

    def key(self) -> tuple[object, ...]:
        """Equal for attributes that say the same."""
        tensor = id(self.tensor) if self.tensor else 0
        numbers = (*self.numbers, None, *self.reals)
        return (self.number, self.real, self.string, tensor, numbers)


@dataclass(slots=True, eq=False)
class Node:
    """An operator, or a call of a function of the model."""

    operator: str = ""
    domain: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    cut: bool = False
    metadata: list[Message] = field(default_factory=list)

    @property
    def standard(self) -> bool:
        """Whether the operator is one of ONNX's own."""
        return self.domain in ("", "ai.onnx")

    @property
    def key(self) -> _Key:
        """What a function that it calls would be known by."""
        return ("" if self.standard else self.domain, self.operator)

    @property
    def module(self) -> str:
        """The module of PyTorch that it belongs to, where the exporter says so."""
        for message in self.metadata:
            entry = dict(message.fields())
            if text(entry.get(1, message)) == _SCOPES:
                # A list as Python writes it: from the whole network to this operator.
                names = text(entry.get(2, message)).strip("[]").split(", ")
                return names[-2].strip("'\"") if len(names) > 1 else ""
        return ""


@dataclass(eq=False)
class Graph:
    """Nodes in the order of the file, and the tensors stored with them."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Constant] = field(default_factory=dict)
    producers: dict[str, tuple[Node, int]] = field(default_factory=dict)
    sparse: set[str] = field(default_factory=set)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    defaults: dict[str, Attribute] = field(default_factory=dict)
    consumers: dict[str, list[tuple[Node, int]]] = field(default_factory=dict)

    def index(self) -> None:
        """Find out who makes and who uses each name."""
        for node in self.nodes:
            for place, name in enumerate(node.outputs):
                self.producers.setdefault(name, (node, place))
            for place, name in enumerate(node.inputs):
                self.consumers.setdefault(name, []).append((node, place))


@dataclass(eq=False)
class Scope:
    """A graph as it is entered once.

    Attributes
    ----------
    graph : Graph
    functions : mapping
        The model's functions by domain and name.
    parent : Scope or None
        Around a subgraph: its names are known inside.
    bindings : mapping
        For a function: where each of its inputs comes from.
    attributes : mapping
        For a function: the attributes of the calling node.
    """

    graph: Graph
    functions: Mapping[_Key, Graph]
    parent: Scope | None = None
    bindings: Mapping[str, tuple[Scope, str]] = field(default_factory=dict)
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    depth: int = 0
    _entered: dict[tuple[int, int], Scope] = field(default_factory=dict)

    def attribute(self, node: Node, name: str) -> Attribute | None:
        """An attribute of a node of this graph; one of the calling node where it refers there."""
        attribute = node.attributes.get(name)
        if attribute is not None and attribute.ref:
            scope: Scope | None = self
            while scope is not None and not scope.attributes:
                scope = scope.parent
            return scope.attributes.get(attribute.ref) if scope else None
        return attribute

    def stored(self, name: str) -> Constant | None:
        """The tensor stored under a name in this graph or around it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.graph.tensors:
                return scope.graph.tensors[name]
            scope = scope.parent
        return None

    def called(self, node: Node) -> Graph | None:
        """The function of the model that a node calls, if it does."""
        if not self.functions:
            return None
        return self.functions.get(node.key)

    def enter(self, node: Node, graph: Graph) -> Scope:
        """The scope of a node's subgraph, or of the function that it calls."""
        key = (id(node), id(graph))
        if key not in self._entered:
            if self.depth >= 2 * _MAX_DEPTH:
                raise UnreadableError(f"graphs are nested more than {2 * _MAX_DEPTH} deep; refused")
            call = graph is self.called(node)
            self._entered[key] = self._call(node, graph) if call else self._inside(graph)
        return self._entered[key]

    def _inside(self, graph: Graph) -> Scope:
        return Scope(graph, self.functions, self, depth=self.depth + 1)

    def _call(self, node: Node, graph: Graph) -> Scope:
        attributes = dict(graph.defaults)
        for name in node.attributes:
            attribute = self.attribute(node, name)
            if attribute is not None:
                attributes[name] = attribute
        actual = [*node.inputs, *[""] * len(graph.inputs)]
        bindings = {
            formal: (self, name) for formal, name in zip(graph.inputs, actual, strict=False)
        }
        return Scope(graph, self.functions, None, bindings, attributes, self.depth + 1)


def read_graph(model: Message, external: ExternalData) -> Scope | None:
    """The main graph of a model; None if it has none."""
    graph: Graph | None = None
    functions: dict[_Key, Graph] = {}
    for number, value in model.fields():
        if number == 7 and not isinstance(value, int):
            graph = _graph(value, external)
        elif number == 25 and not isinstance(value, int):
            key, function = _function(value, external)
            functions.setdefault(key, function)
    return None if graph is None else Scope(graph, functions)


def walk(scope: Scope, wanted: frozenset[str]) -> Iterator[tuple[Scope, Node]]:
    """Nodes of the wanted operators in order, with subgraphs and functions in their places."""
    relevant = _holding(scope.functions, wanted)
    left = [MAX_NODES]

    def inside(scope: Scope) -> Iterator[tuple[Scope, Node]]:
        left[0] -= len(scope.graph.nodes) + 20  # entering costs as much as some nodes
        if left[0] < 0:
            raise UnreadableError(
                f"its functions unfold to more than {MAX_NODES:,} nodes, which no model needs; "
                "refused"
            )
        for node in scope.graph.nodes:
            function = scope.called(node)
            if function is not None:
                if node.key in relevant:
                    yield from inside(scope.enter(node, function))
                continue
            for attribute in node.attributes.values():
                for graph in attribute.graphs:
                    yield from inside(scope.enter(node, graph))
            if node.operator in wanted:
                yield scope, node

    yield from inside(scope)


def graphs(scope: Scope) -> Iterator[Graph]:
    """The main graph, the functions and all graphs inside them, each once."""
    stack = [*scope.functions.values(), scope.graph]
    while stack:
        graph = stack.pop()
        yield graph
        for node in graph.nodes:
            for attribute in node.attributes.values():
                stack += attribute.graphs


def operators(scope: Scope) -> dict[str, int]:
    """How often each operator stands in the model, the most frequent first."""
    count: dict[str, int] = {}
    for graph in graphs(scope):
        for node in graph.nodes:
            count[node.operator] = count.get(node.operator, 0) + 1
    return dict(sorted(count.items(), key=lambda item: -item[1]))


def _holding(functions: Mapping[_Key, Graph], wanted: frozenset[str]) -> set[_Key]:
    """The functions that hold a wanted operator, or call one that does."""
    callers: dict[_Key, list[_Key]] = {}
    waiting: list[_Key] = []
    for key, function in functions.items():
        graphs = [function]
        while graphs:
            for node in graphs.pop().nodes:
                if node.key in functions:
                    callers.setdefault(node.key, []).append(key)
                elif node.operator in wanted:
                    waiting.append(key)
                for attribute in node.attributes.values():
                    graphs += attribute.graphs
    relevant: set[_Key] = set()
    while waiting:
        key = waiting.pop()
        if key not in relevant:
            relevant.add(key)
            waiting += callers.get(key, [])
    return relevant


def _graph(message: Message, external: ExternalData, depth: int = 0) -> Graph:
    if depth > _MAX_DEPTH:
        raise UnreadableError(f"graphs are nested more than {_MAX_DEPTH} deep; refused")
    graph = Graph()
    for number, value in message.fields():
        if isinstance(value, int):
            continue
        if number == 1:
            _add(graph, _node(value, external, depth))
        elif number == 5:
            name, tensor = read_tensor(value, external)
            graph.tensors[name] = tensor
        elif number == 11:
            graph.inputs.append(_named(value, 1))
        elif number == 12:
            graph.outputs.append(_named(value, 1))
        elif number == 15:  # values (field 1) carry the name
            parts = [part for key, part in value.fields() if key == 1 and isinstance(part, Message)]
            graph.sparse.update(_named(part, 8) for part in parts)
    graph.index()
    return graph


def _add(graph: Graph, node: Node) -> None:
    """Append a node; the tensor of a Constant is stored under the name of its output."""
    graph.nodes.append(node)
    value = node.attributes.get("value") if node.operator == "Constant" else None
    if value is not None and value.tensor is not None and node.outputs:
        name = node.outputs[0]
        graph.tensors[name] = replace(value.tensor, name=printable(name))


def _function(message: Message, external: ExternalData) -> tuple[_Key, Graph]:
    graph, name, domain = Graph(), "", ""
    for number, value in message.fields():
        if number == 1:
            name = text(value)
        elif number == 4:
            graph.inputs.append(text(value))
        elif number == 5:
            graph.outputs.append(text(value))
        elif number == 7 and not isinstance(value, int):
            _add(graph, _node(value, external, 0))
        elif number == 10:
            domain = text(value)
        elif number == 11 and not isinstance(value, int):
            key, attribute = _attribute(value, external, 0)
            graph.defaults[key] = attribute
    graph.index()
    return ("" if domain == "ai.onnx" else domain, name), graph


def _named(message: Message, field_number: int) -> str:
    """The name of a ValueInfoProto or TensorProto."""
    for number, value in message.fields():
        if number == field_number:
            return text(value)
    return ""


def _node(message: Message, external: ExternalData, depth: int) -> Node:
    node = Node()
    for number, value in message.fields():
        if number == 1:
            if len(node.inputs) < _MAX_NAMES:
                node.inputs.append(text(value))
            else:
                node.cut = True
        elif number == 2:
            if len(node.outputs) < _MAX_NAMES:
                node.outputs.append(text(value))
        elif number == 3:
            node.name = text(value)
        elif number == 4:
            node.operator = text(value)
        elif number == 5 and not isinstance(value, int):
            key, attribute = _attribute(value, external, depth)
            node.attributes[key] = attribute
        elif number == 7:
            node.domain = text(value)
        elif number == 9 and not isinstance(value, int):
            node.metadata.append(value)
    return node


def _attribute(message: Message, external: ExternalData, depth: int) -> tuple[str, Attribute]:
    name, attribute = "", Attribute()
    for number, value in message.fields():
        if number == 1:
            name = text(value)
        elif number == 2 and isinstance(value, int):
            attribute.real = _real(value)
        elif number == 3 and isinstance(value, int):
            attribute.number = _signed(value)
        elif number == 4:
            attribute.string = text(value)[:64]
        elif number == 7:
            attribute.reals += _reals(value)
            del attribute.reals[_MAX_NUMBERS:]
        elif number == 8:
            attribute.numbers += _numbers(value)
            del attribute.numbers[_MAX_NUMBERS:]
        elif number == 21:
            attribute.ref = text(value)
        elif number == 22:
            attribute.sparse = True
        elif isinstance(value, Message) and number == 5:
            _, attribute.tensor = read_tensor(value, external)
        elif isinstance(value, Message) and number in (6, 11):
            attribute.graphs.append(_graph(value, external, depth + 1))
    return name, attribute


def _reals(value: Value) -> list[float]:
    if isinstance(value, int):
        return [_real(value)]
    data = value.data[: 4 * _MAX_NUMBERS]
    return list(struct.unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4]))


def _real(value: int) -> float:
    number: float = struct.unpack("<f", (value & 0xFFFFFFFF).to_bytes(4, "little"))[0]
    return number


def _numbers(value: Value) -> list[int]:
    if isinstance(value, int):
        return [_signed(value)]
    if len(value.data) > 10 * _MAX_NUMBERS:  # no attribute of a node on a weight's way is longer
        return []
    return [_signed(number) for number in varints(value.data).tolist()]


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
