"""Which tensors of a source are convolution weights, and why the others are not."""

from __future__ import annotations

import re

from cwda.containers.names import LEAF, is_weight_name, split_leaf
from cwda.containers.storages import QUANTISED
from cwda.containers.tensors import NamedTensor
from cwda.convolutions.adapters import ADAPTER, is_adapter

__all__ = ["UNNAMED", "why_not"]

#: Origin of weights that a graph uses: whatever their names are, they are not copies.
_GRAPH = "onnx."

_OPTIMIZER = re.compile(
    r"(\w+_)?optim(s|izers?)?(_(state|states|weights|dict|state_dict|type))*|opt_state|"
    r"(\w+_)?momentum_buffers?|((sgd|adam|adamw|lars|lamb|rmsprop|muon|nesterov|\w*(weight|_w))_)?momentum|"
    r"exp_avg(_sq)?|max_exp_avg_sqs?|square_avg|acc_delta|"
    r"(lr_)?schedulers?(_state)?",
    re.IGNORECASE,
)
#: What TensorFlow's optimizers keep next to a variable, below its name.
_SLOT = re.compile(
    r"(adam|momentum|rmsprop|adagrad|adadelta|ftrl|lamb|lars)(w|optimizer)?(_\d+)?", re.IGNORECASE
)
_AVERAGE = re.compile(r"(exponential_?)?moving_?average", re.IGNORECASE)
_MASK = re.compile(r"(\w+_)?masks?(_dict)?", re.IGNORECASE)
_GRADIENT = re.compile(r"(\w+_)?(grads?|gradients?)", re.IGNORECASE)

#: Values of quantised weights, kept under names of their own.
_PACKED = re.compile(r"_?(data|int_data)|\w*(qdata|qweight|quantized|packed)\w*", re.IGNORECASE)


def why_not(tensor: NamedTensor, bias: NamedTensor | None, key: str = "") -> str:
    """Why a tensor of three axes or more is not a convolution's weight; empty if it is one.

    `bias` is the tensor named alike with ``bias`` at the end, if there is one; `key` is the part
    of the path that the user has chosen, which tells nothing then.
    """
    return (
        tensor.reason
        or _by_place(tensor, key)
        or _by_type(tensor)
        or ("" if tensor.is_conv else _by_name(tensor, bias))
    )


def _by_place(tensor: NamedTensor, key: str) -> str:
    if tensor.origin.startswith(_GRAPH):
        return ""
    certain = tensor.is_conv and tensor.transposed is not None
    named = LEAF.fullmatch(split_leaf(tensor.name)[1])  # arrays of an archive may be anything
    if not (certain and named) and (reason := _by_parts(tensor, key)):
        return reason
    leaf = split_leaf(tensor.name)[1]
    if _SLOT.fullmatch(leaf):
        return "optimizer state"
    if _AVERAGE.fullmatch(leaf):
        return "a moving average of the weight"
    if is_adapter(tensor):
        return ADAPTER
    if tensor.is_conv is False:
        kind = tensor.origin.rpartition(".")[2]
        return f"belongs to {kind}, not to a convolution" if kind else "not a convolution's weight"
    return ""


def _by_parts(tensor: NamedTensor, key: str) -> str:
    parts = tensor.path[len(key) :].lstrip(".").split(".")
    below = len(parts) - tensor.name.count(".") - 1  # the last are those of the name
    ends = (*parts[: max(below, 0)], parts[-1])
    if any(_OPTIMIZER.fullmatch(part) for part in parts):
        return "optimizer state"
    if any(_MASK.fullmatch(part) for part in ends):
        return "a mask"
    if any(_GRADIENT.fullmatch(part) for part in ends):
        return "a gradient"
    return ""


def _by_type(tensor: NamedTensor) -> str:
    if 0 in tensor.shape:
        return "empty"
    if tensor.dtype is None:
        return "elements of a type that torch lacks"
    if tensor.dtype.is_complex:
        return f"complex elements ({tensor.dtype})"
    if tensor.dtype.itemsize == 1 and _PACKED.fullmatch(split_leaf(tensor.name)[1]):
        return QUANTISED
    if not tensor.dtype.is_floating_point:
        return f"elements of type {str(tensor.dtype).removeprefix('torch.')}: not trained weights"
    if len(tensor.shape) > 5:
        return f"{len(tensor.shape)} axes; a convolution's weight has 3 to 5"
    return ""


#: Of what may be a convolution's weight under another name.
UNNAMED = "not named like a convolution's weight, such as conv1.weight"


def _by_name(tensor: NamedTensor, bias: NamedTensor | None) -> str:
    if bias is not None and bias is not tensor and bias.shape == tensor.shape:
        return "a normalisation: its bias has the same shape"
    leaf = split_leaf(tensor.name)[1]
    if "scal" in leaf.lower() and sum(size > 1 for size in tensor.shape) <= 1:
        return "a scale, not weights"
    if is_weight_name(tensor.name, len(tensor.shape)):
        return ""
    return UNNAMED
