"""ONNX files: the weights that convolutions use, in the order of the nodes.

The file is read in place, so that neither the onnx package nor memory for the other weights
is needed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cwda.containers.mapped import MappedFile
from cwda.containers.protobuf import Message
from cwda.containers.reader import Reader
from cwda.containers.tensors import Content, NamedTensor
from cwda.errors import UnreadableError
from cwda.layers import Skipped
from cwda.onnx_files.convolutions import CONVOLUTIONS, Convolution, convolution, how
from cwda.onnx_files.fixed_kernels import fixed_kernel
from cwda.onnx_files.graph import read_graph, walk
from cwda.onnx_files.layers import LAYERS
from cwda.onnx_files.operators import RULES, outcome
from cwda.onnx_files.others import others, without_convolution
from cwda.onnx_files.tensors import ExternalData
from cwda.onnx_files.values import Value, Values

__all__ = ["ONNX"]

#: Elements that may be computed for all weights: this many, and 16 for each byte of the files.
_EFFORT = 1 << 26


@dataclass
class _Layer:
    """A weight, its name, the first node that uses it and the others."""

    value: Value
    name: str
    first: Convolution
    others: list[Convolution] = field(default_factory=list)


def _read_onnx(file: MappedFile) -> Content:
    """Read an ONNX model."""
    external = ExternalData(file.path.parent)
    scope = read_graph(Message(memoryview(file.data)), external)
    if scope is None:
        raise UnreadableError("an ONNX model without a graph; give a file with trained weights")
    stored = file.size + external.size
    values = Values(RULES | LAYERS, outcome, 16 * stored + _EFFORT)
    convolutions = [convolution(values, inner, node) for inner, node in walk(scope, CONVOLUTIONS)]
    if not convolutions:
        raise UnreadableError(without_convolution(scope))
    layers = _layers(convolutions)
    tensors: list[NamedTensor] = []
    skipped = [
        Skipped(_short(lost.name), lost.main.shape if lost.main else (), lost.reason)
        for lost in convolutions
        if lost.value is None
    ]
    for layer in layers:
        reason = _no_weight(layer)
        if reason:
            skipped.append(Skipped(_short(layer.name), layer.value.shape, reason))
        else:
            tensors.append(_tensor(layer))
    if not tensors:
        raise UnreadableError(_nothing(len(convolutions), skipped[0]))
    used = {id(constant) for use in convolutions for constant in use.stored}
    skipped += others(scope, used)
    return Content("onnx", tensors, skipped, stored=stored + _widened(layers))


def _layers(convolutions: list[Convolution]) -> list[_Layer]:
    """One layer for each weight, under unique names as far as the file has such.

    A weight that serves a convolution and a transposed one is two layers: their filters differ.
    """
    layers: dict[tuple[int, bool], _Layer] = {}
    for use in convolutions:
        if use.value is None:
            continue
        key = (use.value.key, use.transposed)
        if key in layers:
            layers[key].others.append(use)
            continue
        turned = (use.value.key, not use.transposed) in layers
        layers[key] = _Layer(use.value, (turned and use.node_name) or use.name, use)
    count = Counter(layer.name for layer in layers.values())
    for layer in layers.values():
        if count[layer.name] > 1:
            layer.name = layer.first.full_name or layer.name
    return list(layers.values())


def _no_weight(layer: _Layer) -> str:
    """Why a convolution's weight is not taken; empty if it is."""
    try:
        weight = layer.value.read()
    except UnreadableError as error:
        return str(error)
    quantised = any(part.operator == "DequantizeLinear" for part in layer.value.behind())
    return fixed_kernel(weight, quantised)


def _tensor(layer: _Layer) -> NamedTensor:
    first, value = layer.first, layer.value
    return NamedTensor(
        layer.name,
        value.shape,
        value.dtype,
        value.read,
        is_conv=True,
        groups=first.groups,
        transposed=first.transposed,
        assumption="; ".join(filter(None, (how(value), _uses(layer)))),
        origin=f"onnx.{first.node.operator}",
        also=_aliases(layer),
    )


def _short(name: str) -> str:
    """A name without its last part where that only says that it is a weight."""
    return name.removesuffix(".weight") or name


def _aliases(layer: _Layer) -> tuple[str, ...]:
    """The other names of a weight that several convolutions use."""
    if not layer.others:
        return ()
    names = dict.fromkeys(_short(use.node_name) for use in (layer.first, *layer.others))
    return tuple(name for name in names if name and name != _short(layer.name))


def _uses(layer: _Layer) -> str:
    """How often a weight is used, where no name tells it."""
    if not layer.others or _aliases(layer):
        return ""
    return f"one tensor that {len(layer.others) + 1} operators use"


def _widened(layers: list[_Layer]) -> int:
    """Bytes that quantised weights gain when they are dequantised."""
    gained: dict[int, int] = {}
    for layer in layers:
        main, value = layer.first.main, layer.value
        if main is not None and value.numel <= value.largest:
            gained[id(main)] = max(0, value.numel * value.dtype.itemsize - main.nbytes)
    return sum(gained.values())


def _nothing(number: int, first: Skipped) -> str:
    shape = f" ({' x '.join(map(str, first.shape))})" if first.shape else ""
    return (
        f"none of its {number} convolutions has trained weights that can be read; "
        f"the first, {first.name}{shape}: {first.reason}"
    )


def _is_onnx(file: MappedFile) -> bool:
    """Whether it begins with a small version, as other messages do that are told apart before."""
    head = file.head
    return head[:1] == b"\x08" and len(head) > 4 and 0 < head[1] < 64


ONNX = Reader(
    name="ONNX",
    library="ONNX",
    suffixes=("onnx",),
    recognises=_is_onnx,
    read=_read_onnx,
    reads={
        "ONNX": "read in place, without the onnx package; external data only inside the model's "
        "folder; see [below](#onnx)",
    },
    by_path=True,
)
