"""Classes of Keras' layers: what their names in a file tell, and what a configuration does."""

from __future__ import annotations

import re
from typing import Any

from cwda.keras_files.configuration import Node
from cwda.keras_files.ordering import CONVOLUTION

__all__ = ["closed", "fits", "kind_of_name", "role_of_class", "role_of_config", "snake_case"]

_CONVOLUTIONS = (
    [f"{before}Conv{n}D" for before in ("", "Separable", "Depthwise") for n in (1, 2, 3)]
    + [f"Conv{n}DTranspose" for n in (1, 2, 3)]
    + [f"{before}Convolution{n}D" for before in ("", "Atrous", "Separable") for n in (1, 2, 3)]
    + ["Deconvolution2D", "Deconvolution3D"]
)
#: Layers of Keras itself whose weights may have three axes or more.
_OTHERS = (
    *("BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization"),
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell", "GRU", "GRUCell", "LSTM"),
    *("LSTMCell", "SimpleRNN", "SimpleRNNCell", "Dense", "EinsumDense", "Embedding", "PReLU"),
    *("GroupQueryAttention", "LocallyConnected1D", "LocallyConnected2D", "MultiHeadAttention"),
)


def snake_case(name: str) -> str:
    """Name under which Keras keeps an object of this class.

    Examples
    --------
    >>> snake_case("Conv2DTranspose"), snake_case("ResBlock")
    ('conv2d_transpose', 'res_block')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


_KIND_OF_STEM = {snake_case(kind): kind for kind in (*_CONVOLUTIONS, *_OTHERS)}


def kind_of_name(name: str) -> str:
    """Class behind one of Keras' automatic names; empty if it is not such a name.

    Examples
    --------
    >>> kind_of_name("conv2d_transpose_3"), kind_of_name("stem")
    ('Conv2DTranspose', '')
    """
    stem = re.sub(r"^(forward|backward)_|_\d+$", "", name.lower())
    return _KIND_OF_STEM.get(stem, "")


def closed(kind: str) -> bool:
    """Whether this is a class of Keras itself that has weights but no convolution inside."""
    return kind in _OTHERS


def role_of_class(kind: str) -> str:
    """How a convolution of this class uses its kernel; empty for other classes.

    One of ``conv``, ``transposed``, ``depthwise`` and ``separable``.
    """
    if not CONVOLUTION.fullmatch(kind):
        return ""
    for word, role in (("Separable", "separable"), ("Depthwise", "depthwise")):
        if kind.startswith(word):
            return role
    return "transposed" if "Transpose" in kind or kind.startswith("Deconv") else "conv"


def role_of_config(node: Node) -> str:
    """How a layer uses its kernel, by its class or else its configuration.

    A class derived from one of Keras' convolutions has another name, but its configuration.
    """
    config = node.config
    if role := role_of_class(node.kind):
        return role
    if "kernel_size" not in config or "recurrent_activation" in config or closed(node.kind):
        return ""
    filters = _count(config, "filters")
    if _count(config, "depth_multiplier"):
        return "separable" if filters else "depthwise"
    if not filters:
        return ""
    named = "Transpose" in node.kind or "Deconv" in node.kind
    return "transposed" if named or "output_padding" in config else "conv"


def fits(role: str, shape: tuple[int, ...], config: dict[str, Any]) -> bool:
    """Whether a kernel has the shape that the configuration states, where it states one."""
    size = config.get("kernel_size")
    rank = len(shape) - 2
    kernel_axes = (size,) * rank if isinstance(size, int) else ()
    if isinstance(size, list | tuple):
        kernel_axes = tuple(size)
    if role != "pointwise" and kernel_axes and kernel_axes != shape[:-2]:
        return False
    stated = _count(config, "depth_multiplier" if role == "depthwise" else "filters")
    return stated in (0, shape[-2] if role == "transposed" else shape[-1])


def _count(config: dict[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else 0
