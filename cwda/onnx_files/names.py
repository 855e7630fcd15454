"""Names of an ONNX model's convolutions, as the user of the original network knows them.

The name of the stored tensor comes first: exporters take it from the network
(``layer1.0.conv1.weight``). Where it is a number or another word of the exporter's, the name
of the node says more: ``/layer1/layer1.0/conv1/Conv`` is ``layer1.0.conv1``.
"""

from __future__ import annotations

import re

from cwda.containers.tensors import printable

__all__ = ["node_name", "tensor_name"]

#: Names that exporters and optimisers give to what has none.
_GENERIC = re.compile(
    r"onnx::.*|\d+|(.*/)?Constant(_\d+)?_output_\d+|"
    r"_?(val|t|c|const|const_fold_opt_|constant|initializer|tensor|arg|getitem|clone|"
    r"lifted_tensor|tensor_constant|transpose|reshape)[_.]*\d+(_output_\d+)?",
    re.IGNORECASE,
)
#: What optimisers put before the name of a weight, and quantisers and converters after it.
_BEFORE = re.compile(r"(Conv(Bn|Mul|Add)Fusion_W_)+")
_AFTER = re.compile(r"(_quantized|_DequantizeLinear_Output|:\d+|__\d+|_output_\d+)+$")
#: Stored factors of a weight that is computed from them.
_FACTOR = re.compile(r"(?<=[._])(weight_(v|g|orig|mask)|parametrizations\.weight\.\w+(\.\w+)?)$")
#: Last parts of a path that name an operator or a variable's reading, not a layer.
_OPERATION = re.compile(
    r"(Q?Linear|Nhwc|Fused|Deform)?Conv(Transpose|Integer)?(_\d+)?(_quant)?|"
    r"Conv[123]D(_\d+)?|ReadVariableOp(_\d+)?|ExpandDims(_\d+)?|Read|kernel|weights?|"
    r"depthwise(_\d+)?|separable_conv2d|conv[123]d_transpose"
)


def tensor_name(name: str, computed: bool) -> str:
    """The name of a layer by that of its stored weight; empty if that says nothing.

    Examples
    --------
    >>> tensor_name("layer1.0.conv1.weight_quantized", computed=True)
    'layer1.0.conv1.weight'
    >>> tensor_name("model/conv1/Conv2D/ReadVariableOp:0", computed=False)
    'model/conv1.weight'
    >>> tensor_name("onnx::Conv_193", computed=False)
    ''
    """
    if _GENERIC.fullmatch(name):
        return ""
    short = _AFTER.sub("", _BEFORE.sub("", name)) or name
    if computed:
        short = _FACTOR.sub("weight", short)
    if "/" in short:
        return _of_path(short)
    return printable(short)


def node_name(name: str) -> str:
    """The name of a layer by that of its node; empty if that says nothing.

    Examples
    --------
    >>> node_name("/layer1/layer1.0/conv1/Conv")
    'layer1.0.conv1.weight'
    >>> node_name("Conv_12")
    'Conv_12'
    """
    short = _AFTER.sub("", name) or name
    return _of_path(short) if "/" in short else printable(short)


def _of_path(path: str) -> str:
    """A path of scopes without operators at its end.

    PyTorch's begin with a stroke and repeat the names around them; its users know dots.
    """
    parts = [part for part in path.split("/") if part and part != "StatefulPartitionedCall"]
    while len(parts) > 1 and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    name = ("." if path.startswith("/") else "/").join(kept)
    return printable(f"{name}.weight") if name else ""
