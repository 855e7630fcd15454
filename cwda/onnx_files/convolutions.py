"""Convolution nodes of an ONNX model and the weights that feed them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cwda.containers.tensors import printable
from cwda.onnx_files.graph import Node, Scope
from cwda.onnx_files.names import node_name, tensor_name
from cwda.onnx_files.operators import LAYOUT, dequantise
from cwda.onnx_files.tensors import Constant
from cwda.onnx_files.values import Unknown, UnknownValueError, Value, Values

__all__ = ["CONVOLUTIONS", "KNOWN_DOMAINS", "Convolution", "convolution", "how"]

#: Operators with a convolution's weight, and which input that is.
_PLACES = {
    "Conv": 1,
    "ConvTranspose": 1,
    "ConvInteger": 1,
    "DeformConv": 1,
    "QLinearConv": 3,
    "FusedConv": 1,
    "NhwcConv": 1,
    "NhwcFusedConv": 1,
    "ConvTransposeWithDynamicPads": 1,
}
CONVOLUTIONS = frozenset(_PLACES)
#: ONNX's own operators and those of onnxruntime, whose weights are laid out alike.
KNOWN_DOMAINS = ("", "ai.onnx", "com.microsoft")


@dataclass(frozen=True, eq=False)
class Convolution:
    """A node that convolves, and its weight.

    Attributes
    ----------
    node : Node
    value : Value or None
        The weight; None if it cannot be had.
    reason : str
        Why not.
    stored : tuple of Constant
        The stored tensors behind the weight, as far as they are known.
    groups : int
    transposed : bool
    """

    node: Node
    value: Value | None
    reason: str
    stored: tuple[Constant, ...]
    groups: int
    transposed: bool

    @property
    def main(self) -> Constant | None:
        """The largest stored tensor behind the weight."""
        return max(self.stored, key=lambda constant: math.prod(constant.shape), default=None)

    @property
    def name(self) -> str:
        """By its stored tensor, else by its node, as a user of the network knows it."""
        main = self.main
        if main is None or (self.value is None and self.node.name and len(self.stored) != 1):
            return self.node_name
        if self.node.module and "." not in main.name:  # a word of the exporter's
            return self.node_name
        computed = self.value is None or self.value.operator != ""
        return tensor_name(main.name, computed) or self.node_name

    @property
    def node_name(self) -> str:
        """By its node, or by what the node makes where that has no name."""
        name = node_name(self.node.module or self.node.name)
        return name or printable("".join(self.node.outputs[:1]))

    @property
    def full_name(self) -> str:
        """The name in the file, not shortened."""
        name = self.main.name if self.main and tensor_name(self.main.name, False) else ""
        path = printable(name or self.node.name)
        return path.strip("/").replace("/", ".") if path.startswith("/") else path


def convolution(values: Values, scope: Scope, node: Node) -> Convolution:
    """A convolution node with its weight, or with the reason why that cannot be had."""
    place = _PLACES[node.operator]
    name = node.inputs[place] if place < len(node.inputs) else ""
    attribute = scope.attribute(node, "group")
    groups = attribute.number if attribute and attribute.number is not None else 1
    value = values.of(scope, name) if name else Unknown("not given")
    weight = _weight(values, scope, node, value, groups)
    if isinstance(weight, Unknown):
        direct = scope.stored(name)
        stored = (direct,) if direct else ()
        return Convolution(node, None, weight.reason, stored, groups, False)
    transposed = node.operator.startswith("ConvTranspose")
    return Convolution(node, weight, "", weight.constants(), groups, transposed)


def _weight(
    values: Values, scope: Scope, node: Node, value: Value | Unknown, groups: int
) -> Value | Unknown:
    operator = printable(node.operator)
    if node.domain not in KNOWN_DOMAINS:
        return Unknown(_foreign(node))
    if isinstance(value, Unknown):
        return Unknown(f"the weight of this {operator}: {value.reason}", value.stored)
    try:
        if operator in ("QLinearConv", "ConvInteger"):
            value = _dequantised(values, scope, node, value)
    except UnknownValueError as error:
        return Unknown(str(error))
    if reason := _misfit(scope, node, value, groups):
        return Unknown(reason)
    checked = values.weight(value)
    if isinstance(checked, Unknown):
        return Unknown(f"the weight of this {operator}: {checked.reason}", checked.stored)
    return checked


def _foreign(node: Node) -> str:
    domain = printable(node.domain)[:80]
    if node.domain == "com.microsoft.nchwc":
        return (
            f"laid out in blocks for one processor ({domain}); "
            "save the model before onnxruntime optimises it"
        )
    return f"feeds {printable(node.operator)} of {domain}, whose layout is not known"


def _misfit(scope: Scope, node: Node, weight: Value, groups: int) -> str:
    """Why a weight cannot belong to its node; empty if it can."""
    axes, operator = len(weight.shape), printable(node.operator)
    if not 3 <= axes <= 5:
        return f"{axes} axes; a convolution's weight has 3 to 5"
    if groups < 1 or weight.shape[0] % groups:
        return f"{operator} has {groups} groups, which do not divide {weight.shape[0]}"
    kernel = scope.attribute(node, "kernel_shape")
    if kernel is not None and kernel.numbers and tuple(kernel.numbers) != weight.shape[2:]:
        sizes = "x".join(map(str, kernel.numbers))
        return f"{operator} wants a kernel of {sizes}, which its weight has not"
    return ""


def _dequantised(values: Values, scope: Scope, node: Node, integers: Value) -> Value:
    """Integer weights of QLinearConv and ConvInteger with their scale and zero point."""
    inputs = dict(enumerate(node.inputs))
    if node.operator == "QLinearConv":
        scale, zero = _known(values, scope, inputs.get(4, "")), inputs.get(5, "")
    else:
        scale, zero = _later_scale(values, scope, node), inputs.get(3, "")
    if scale is None:
        raise UnknownValueError(f"quantised weights of {node.operator}, whose scale is not stored")
    offset = _known(values, scope, zero) if zero else None
    if zero and offset is None:
        raise UnknownValueError(
            f"quantised weights of {node.operator}, whose zero point is computed"
        )
    if len(scale.shape) > 1:  # fits the output (N, channels, ...)
        scale = values.apply("Reshape", (scale,), lambda tensor: tensor.reshape(-1), "flat")
    outcome = (integers.shape, scale.dtype)
    return values.apply(
        "DequantizeLinear", (integers, scale, offset), dequantise(0), "filters", outcome
    )


def _known(values: Values, scope: Scope, name: str) -> Value | None:
    value = values.of(scope, name) if name else None
    return value if isinstance(value, Value) else None


def _later_scale(values: Values, scope: Scope, node: Node) -> Value | None:
    """The scale of a ConvInteger's weight: its outcome is multiplied by it and the input's."""
    name = "".join(node.outputs[:1])
    for _ in range(4):
        users = scope.graph.consumers.get(name, [])
        user, place = users[0] if users else (None, 0)
        if user is None or user.operator not in ("Cast", "Mul", "Identity"):
            return None
        if user.operator == "Mul" and len(user.inputs) == 2:
            product, _ = scope.graph.producers.get(user.inputs[1 - place], (None, 0))
            if product is None or product.operator != "Mul":
                return None
            factors = [_known(values, scope, factor) for factor in product.inputs]
            scales = [value for value in factors if value is not None]
            return scales[0] if len(scales) == 1 else None
        name = "".join(user.outputs[:1])
    return None


def how(value: Value) -> str:
    """How a weight came from what is stored, in words; empty if it is stored as it is."""
    made = dict.fromkeys(part.operator for part in value.behind() if part.operator)
    operators = ", ".join(name for name in made if name != "Cast")
    if set(made) - LAYOUT - {"QuantizeLinear", "DequantizeLinear"}:
        return f"effective weights: computed from stored tensors by {operators}"
    if "QuantizeLinear" in made:
        return "quantised and dequantised by scale and zero point, as the model computes with them"
    if "DequantizeLinear" in made:
        return "dequantised by scale and zero point"
    return f"brought into a convolution's form by {operators}" if operators else ""
