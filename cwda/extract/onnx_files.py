"""ONNX files: the weights that Conv and ConvTranspose nodes use.

Field numbers are those of ``onnx.proto``. The file is read in place, so that neither the
onnx package nor memory for the other weights is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch

from cwda.errors import UnreadableError
from cwda.extract.mapped import MappedFile, map_file
from cwda.extract.protobuf import Message, Value, varints
from cwda.extract.tensors import Content, NamedTensor, printable
from cwda.extract.torch_storage import Opaque, Storage, StridedTensor

__all__ = ["read_onnx"]

_DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}
_CONVOLUTIONS = {"Conv": False, "ConvTranspose": True}
_QUANTISED = ("QLinearConv", "ConvInteger")
#: Operators that hand a weight on unchanged.
_TRANSPARENT = ("Identity", "Cast")


#: Sizes of a tensor, and inputs of a node that matter.
_MAX_AXES, _MAX_INPUTS = 64, 8
#: Packed numbers decoded at once.
_CHUNK = 1 << 20
_DAMAGED = "the ONNX data are damaged; download or copy the file again"


@dataclass(slots=True)
class _Node:
    """An operator: its type, name, first inputs and output, groups, a constant, subgraphs."""

    operator: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    output: str = ""
    groups: int = 1
    constant: Message | None = None
    graphs: tuple[Message, ...] = ()


@dataclass
class _Beside:
    """Files of data beside the model, each mapped once."""

    folder: Path
    files: dict[Path, MappedFile] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def fetch(self, where: dict[str, str], nbytes: int) -> Callable[[], memoryview]:
        """Bytes of a file beside the model; only inside its folder."""
        location = PurePosixPath(where.get("location", ""))
        path, shown = self.folder / location, printable(str(location))[:80]
        if "\0" in str(location):
            raise UnreadableError(_DAMAGED)
        if location.is_absolute() or ".." in location.parts or not location.parts:
            raise UnreadableError(f"its data lie outside the model's folder ({shown}); refused")
        if path not in self.files:
            if not path.is_file():  # a link that leads to itself is no file either
                raise UnreadableError(f"its data file {shown} is missing; put it beside the model")
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise UnreadableError(f"its data lie outside the model's folder ({shown}); refused")
            self.files[path] = map_file(path)
        offset, length = where.get("offset") or "0", where.get("length") or str(nbytes)
        if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
            raise UnreadableError(_DAMAGED)
        return self.files[path].part(int(offset), int(length))


def read_onnx(file: MappedFile) -> Content:
    """Read an ONNX model."""
    model = Message(memoryview(file.data))
    graphs = [value for number, value in model.fields() if number == 7]
    if not graphs or isinstance(graphs[0], int):
        raise UnreadableError("an ONNX model without a graph; give a file with trained weights")
    beside = _Beside(file.path.parent)
    tensors, nodes = _graph(graphs[0], beside)
    producers = {node.output: node for node in nodes}
    used: dict[str, NamedTensor] = {}
    lost: list[NamedTensor] = []
    for node in nodes:
        if node.operator in (*_CONVOLUTIONS, *_QUANTISED):
            position = 3 if node.operator == "QLinearConv" else 1
            name = _source(node.inputs[position : position + 1], producers, tensors)
            if name in tensors:
                used.setdefault(name, _of_node(tensors[name], node))
            else:
                lost.append(_computed(node))
    found = [used.get(name, tensor) for name, tensor in tensors.items()] + lost
    return Content("onnx", found, stored=file.size + beside.size)


def _source(inputs: list[str], producers: dict[str, _Node], tensors: dict[str, NamedTensor]) -> str:
    """The stored tensor behind an input, through operators that do not change it."""
    name = inputs[0] if inputs else ""
    for _ in range(16):
        node = producers.get(name)
        if name in tensors or node is None or node.operator not in _TRANSPARENT:
            break
        name = node.inputs[0] if node.inputs else ""
    return name


def _of_node(tensor: NamedTensor, node: _Node) -> NamedTensor:
    if node.operator in _QUANTISED:
        return replace(tensor, reason=f"integer weights of {node.operator} (quantised)")
    # Exporters number anonymous weights; the operator's name then tells more.
    anonymous = tensor.name.startswith("onnx::") or tensor.name.isdigit()
    name = printable(node.name).strip("/").replace("/", ".") if anonymous and node.name else ""
    return replace(
        tensor,
        name=f"{name}.weight" if name else tensor.name,
        is_conv=True,
        groups=node.groups,
        transposed=_CONVOLUTIONS[node.operator],
    )


def _computed(node: _Node) -> NamedTensor:
    name = node.name or node.output or node.operator
    reason = f"the weight of this {node.operator} is computed, not stored"
    leaf = Opaque((0, 0, 0), None, reason)
    return NamedTensor(printable(name), leaf.shape, None, leaf.read, reason=reason)


def _graph(
    graph: Message, beside: _Beside, depth: int = 0
) -> tuple[dict[str, NamedTensor], list[_Node]]:
    """Stored tensors by name and all nodes, those of subgraphs (If, Loop) included."""
    if depth > 16:
        raise UnreadableError("graphs are nested more than 16 deep; refused")
    tensors: dict[str, NamedTensor] = {}
    nodes: list[_Node] = []
    for number, value in graph.fields():
        if isinstance(value, int):
            continue
        if number == 1:
            node = _node(value)
            nodes.append(node)
            if node.constant is not None and node.output:
                name, tensor = _tensor(node.constant, beside)
                tensors[node.output] = replace(tensor, name=printable(node.output))
            for inner in node.graphs:
                inner_tensors, inner_nodes = _graph(inner, beside, depth + 1)
                tensors.update(inner_tensors)
                nodes += inner_nodes
        elif number == 5:
            name, tensor = _tensor(value, beside)
            tensors[name] = tensor
    return tensors, nodes


def _node(message: Message) -> _Node:
    node = _Node()
    for number, value in message.fields():
        if number == 1 and len(node.inputs) < _MAX_INPUTS:
            node.inputs.append(_text(value))
        elif number == 2:  # convolutions, constants and what is transparent have one output
            node.output = node.output or _text(value)
        elif number == 3:
            node.name = _text(value)
        elif number == 4:
            node.operator = _text(value)
        elif number == 5 and not isinstance(value, int):
            _attribute(value, node)
    return node


def _attribute(message: Message, node: _Node) -> None:
    name = ""
    for number, value in message.fields():
        if number == 1:
            name = _text(value)
        elif number == 3 and name == "group" and isinstance(value, int):
            node.groups = max(value, 1)
        elif number == 5 and name == "value" and not isinstance(value, int):
            node.constant = value
        elif number in (6, 11) and not isinstance(value, int):
            node.graphs = (*node.graphs[:_MAX_INPUTS], value)


def _tensor(message: Message, beside: _Beside) -> tuple[str, NamedTensor]:
    """A TensorProto: its name and the lazy tensor."""
    shape: list[int] = []
    kind, name, external = 0, "", False
    raw: Message | None = None
    typed: list[tuple[int, Value]] = []
    where: dict[str, str] = {}
    for number, value in message.fields():
        if number == 1:
            shape += [value] if isinstance(value, int) else varints(value.data[:640]).tolist()
            del shape[_MAX_AXES + 1 :]
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number == 9 and not isinstance(value, int):
            raw = value
        elif number == 13 and not isinstance(value, int):
            pair = {key: _text(part) for key, part in value.fields()}
            where[pair.get(1, "")] = pair.get(2, "")
        elif number == 14:
            external = value == 1
        elif number in (4, 5, 7, 10):
            typed.append((number, value))
    dtype = _DTYPES.get(kind)
    sizes = tuple(shape)
    if dtype is None or len(sizes) > _MAX_AXES or max(sizes, default=0) >= 2**62:
        leaf: StridedTensor | Opaque = Opaque(sizes, None, f"elements of ONNX type {kind}")
        return name, NamedTensor(printable(name), sizes, None, leaf.read, reason=leaf.reason)
    numel = math.prod(sizes)
    if external:
        fetch = beside.fetch(where, numel * dtype.itemsize)
    elif raw is not None:
        kept = raw.data
        fetch = lambda: kept  # noqa: E731
    else:
        fetch = _typed(typed, dtype)
    storage = Storage(dtype, numel, fetch)
    stride = tuple(math.prod(sizes[axis + 1 :]) for axis in range(len(sizes)))
    leaf = StridedTensor(storage, dtype, 0, sizes, stride)
    return name, NamedTensor(printable(name), sizes, dtype, leaf.read)


def _typed(values: list[tuple[int, Value]], dtype: torch.dtype) -> Callable[[], memoryview]:
    """Bytes of float_data, double_data, int32_data or int64_data."""

    def fetch() -> memoryview:
        data = bytearray()
        for number, value in values:
            if number in (4, 10):  # fixed width, packed or one by one
                width = 4 if number == 4 else 8
                data += value.to_bytes(width, "little") if isinstance(value, int) else value.data
            elif isinstance(value, int):
                data += _low(np.array([value], dtype=np.uint64), dtype)
            else:
                for part in _pieces(value.data):
                    data += _low(varints(part), dtype)
        return memoryview(data)

    return fetch


def _low(numbers: npt.NDArray[np.uint64], dtype: torch.dtype) -> bytes:
    """The low bytes of varints, which are the elements (those of float16 as its bits)."""
    return numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : dtype.itemsize].tobytes()


def _pieces(data: memoryview) -> Iterator[memoryview]:
    """Packed varints in pieces of about a megabyte, none of them cut."""
    start = 0
    while start < len(data):
        stop = min(start + _CHUNK, len(data))
        while stop < len(data) and stop - start < _CHUNK + 10 and data[stop - 1] >= 0x80:
            stop += 1
        yield data[start:stop]
        start = stop


def _text(value: Value) -> str:
    if isinstance(value, int):
        raise UnreadableError(_DAMAGED)
    return value.text()
