"""ONNX files: the weights that Conv and ConvTranspose nodes use.

Field numbers are those of ``onnx.proto``. The file is read in place, so that neither the
onnx package nor memory for the other weights is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import torch

from cwda.errors import UnreadableError
from cwda.extract.mapped import MappedFile, map_file
from cwda.extract.protobuf import Value, fields, packed, text
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


@dataclass
class _Node:
    """An operator: its type, name, inputs, outputs, groups, a constant, subgraphs."""

    operator: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    groups: int = 1
    constant: memoryview | None = None
    graphs: list[memoryview] = field(default_factory=list)


def read_onnx(file: MappedFile) -> Content:
    """Read an ONNX model."""
    graphs = [value for number, value in fields(memoryview(file.data)) if number == 7]
    if not graphs or isinstance(graphs[0], int):
        raise UnreadableError("an ONNX model without a graph; give a file with trained weights")
    tensors, nodes = _graph(graphs[0], file.path.parent)
    producers = {output: node for node in nodes for output in node.outputs}
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
    return Content("onnx", [used.get(name, tensor) for name, tensor in tensors.items()] + lost)


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
    name = node.name or (node.outputs[0] if node.outputs else node.operator)
    reason = f"the weight of this {node.operator} is computed, not stored"
    leaf = Opaque((0, 0, 0), None, reason)
    return NamedTensor(printable(name), leaf.shape, None, leaf.read, reason=reason)


def _graph(
    graph: memoryview, folder: Path, depth: int = 0
) -> tuple[dict[str, NamedTensor], list[_Node]]:
    """Stored tensors by name and all nodes, those of subgraphs (If, Loop) included."""
    if depth > 16:
        raise UnreadableError("graphs are nested more than 16 deep; refused")
    tensors: dict[str, NamedTensor] = {}
    nodes: list[_Node] = []
    for number, value in fields(graph):
        if isinstance(value, int):
            continue
        if number == 1:
            node = _node(value)
            nodes.append(node)
            if node.constant is not None and node.outputs:
                name, tensor = _tensor(node.constant, folder)
                tensors[node.outputs[0]] = replace(tensor, name=printable(node.outputs[0]))
            for inner in node.graphs:
                inner_tensors, inner_nodes = _graph(inner, folder, depth + 1)
                tensors.update(inner_tensors)
                nodes += inner_nodes
        elif number == 5:
            name, tensor = _tensor(value, folder)
            tensors[name] = tensor
    return tensors, nodes


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, value in fields(message):
        if number == 1:
            node.inputs.append(text(value))
        elif number == 2:
            node.outputs.append(text(value))
        elif number == 3:
            node.name = text(value)
        elif number == 4:
            node.operator = text(value)
        elif number == 5 and not isinstance(value, int):
            _attribute(value, node)
    return node


def _attribute(message: memoryview, node: _Node) -> None:
    name = ""
    for number, value in fields(message):
        if number == 1:
            name = text(value)
        elif number == 3 and name == "group" and isinstance(value, int):
            node.groups = max(value, 1)
        elif number == 5 and name == "value" and not isinstance(value, int):
            node.constant = value
        elif number in (6, 11) and not isinstance(value, int):
            node.graphs.append(value)


def _tensor(message: memoryview, folder: Path) -> tuple[str, NamedTensor]:
    """A TensorProto: its name and the lazy tensor."""
    shape: list[int] = []
    kind, name, external = 0, "", False
    raw: memoryview | None = None
    typed: list[tuple[int, Value]] = []
    where: dict[str, str] = {}
    for number, value in fields(message):
        if number == 1:
            shape += packed(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = text(value)
        elif number == 9 and not isinstance(value, int):
            raw = value
        elif number == 13 and not isinstance(value, int):
            pair = {key: text(part) for key, part in fields(value)}
            where[pair.get(1, "")] = pair.get(2, "")
        elif number == 14:
            external = value == 1
        elif number in (4, 5, 7, 10):
            typed.append((number, value))
    dtype = _DTYPES.get(kind)
    sizes = tuple(shape)
    if dtype is None or len(sizes) > 64 or max(sizes, default=0) >= 2**62:
        leaf: StridedTensor | Opaque = Opaque(sizes, None, f"elements of ONNX type {kind}")
        return name, NamedTensor(printable(name), sizes, None, leaf.read, reason=leaf.reason)
    numel = math.prod(sizes)
    if external:
        fetch = _external(where, folder, numel * dtype.itemsize)
    elif raw is not None:
        kept = raw
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
                data += value.to_bytes(width, "little") if isinstance(value, int) else value
            else:  # varints, of which the low bytes are the element (float16 as its bits)
                size = dtype.itemsize
                for element in packed(value):
                    data += (element & (256**size - 1)).to_bytes(size, "little")
        return memoryview(data)

    return fetch


def _external(where: dict[str, str], folder: Path, size: int) -> Callable[[], memoryview]:
    """Bytes of a file beside the model; only inside its folder."""
    location = PurePosixPath(where.get("location", ""))
    path = folder / location
    if location.is_absolute() or ".." in location.parts or not location.parts:
        raise UnreadableError(f"its data lie outside the model's folder ({location}); refused")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnreadableError(f"its data lie outside the model's folder ({location}); refused")
    if not path.is_file():
        raise UnreadableError(f"its data file {location} is missing; put it beside the model")
    offset, length = where.get("offset") or "0", where.get("length") or str(size)
    if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
        raise UnreadableError("the ONNX data are damaged; download or copy the file again")
    return map_file(path).part(int(offset), int(length))
