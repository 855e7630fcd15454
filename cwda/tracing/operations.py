"""What each operation of a graph does to channels: one table, for whoever reads a graph.

An operation has one name whether it is written as a layer, a function, a method or in place:
`nn.ReLU`, `F.relu`, `x.relu()` and `torch.relu_` are "relu".
"""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

__all__ = [
    "ACTIVATIONS",
    "ADDITIVE",
    "COPYING",
    "CREATING",
    "DIVIDING",
    "ELEMENTWISE",
    "FILLING",
    "FLATTEN",
    "FORM",
    "GATES",
    "HALVING",
    "MOVING",
    "MULTIPLICATIVE",
    "NORM",
    "PADDING",
    "PARTS",
    "PER_CHANNEL",
    "REDUCING",
    "RESHAPING",
    "SELECTING",
    "SHUFFLING",
    "is_torch_layer",
    "kind",
    "layer_name",
    "operation",
]

ADDITIVE = "sum of two values: 0 where both are"
MULTIPLICATIVE = "product of two values: 0 where one is"
DIVIDING = "quotient: 0 where the first value is"
SELECTING = "one of two values by a third: 0 where both are"
ELEMENTWISE = "function of each element"
PER_CHANNEL = "function of each channel's plane that keeps zeros"
NORM = "scale and shift of each channel"
REDUCING = "reduction along axes that keeps zeros"
MOVING = "elements moved, not changed"
PARTS = "a value divided into parts along an axis"
COPYING = "elements overwritten by others"
FILLING = "part of a value overwritten"
FLATTEN = "axes merged"
RESHAPING = "axes merged or split to sizes given"
PADDING = "elements added round a value"
HALVING = "one half of a value gated by the other"
SHUFFLING = "channels rearranged in groups of a size given"
CREATING = "a new value in the form of another"
FORM = "the form of a value, not its elements"

#: Activations, such as criteria look for behind a convolution.
_ACTIVATIONS = (
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardtanh softsign softplus"
    " softshrink hardshrink tanhshrink threshold tanh sigmoid hardsigmoid logsigmoid"
    " clamp clamp_min clip"
)

_NAMES: dict[str, str] = {
    ADDITIVE: "add sub subtract rsub maximum minimum fmax fmin",
    MULTIPLICATIVE: "mul multiply logical_and and",
    DIVIDING: "div divide truediv true_divide floordiv",
    SELECTING: "where masked_fill",
    CREATING: "empty_like rand_like randn_like randint_like new_zeros new_ones new_full new_empty",
    ELEMENTWISE: (
        f"{_ACTIVATIONS} clamp_max abs neg negative pow square sqrt rsqrt exp"
        " expm1 log log1p sin cos erf reciprocal sign round floor ceil sgn nan_to_num"
        " gt ge lt le eq ne clone detach contiguous float double half bfloat16 bool int long to"
        " type type_as cpu cuda requires_grad_ fill zero identity zeros_like ones_like full_like"
        " dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout"
        " feature_alpha_dropout stochastic_depth"
    ),
    PER_CHANNEL: (
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d"
        " lp_pool1d lp_pool2d lp_pool3d"
        " adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d"
        " adaptive_max_pool2d adaptive_max_pool3d"
        " interpolate upsample upsampling_nearest2d upsampling_bilinear2d"
        " zero_pad1d zero_pad2d zero_pad3d constant_pad1d constant_pad2d constant_pad3d"
        " circular_pad1d circular_pad2d circular_pad3d"
        " reflection_pad1d reflection_pad2d reflection_pad3d"
        " replication_pad1d replication_pad2d replication_pad3d"
    ),
    NORM: (
        "batch_norm batch_norm1d batch_norm2d batch_norm3d sync_batch_norm"
        " instance_norm instance_norm1d instance_norm2d instance_norm3d prelu"
    ),
    REDUCING: "mean sum amax amin var std",
    MOVING: (
        "cat concat concatenate stack permute transpose swapaxes swapdims movedim moveaxis t"
        " squeeze unsqueeze getitem expand expand_as broadcast_to narrow select roll unbind"
        " repeat pixel_unshuffle data flip"
    ),
    PARTS: "chunk split tensor_split split_with_sizes",
    COPYING: "copy",
    FILLING: "setitem",
    HALVING: "glu",
    FLATTEN: "flatten",
    RESHAPING: "view reshape unflatten view_as reshape_as",
    PADDING: "pad",
    SHUFFLING: "pixel_shuffle channel_shuffle native_channel_shuffle",
    FORM: "shape size numel nelement stride storage_offset len",
}

#: Kinds of layers that are followed; others of the same name take their sizes otherwise.
_OF_LAYERS = {ELEMENTWISE, PER_CHANNEL, NORM, MOVING, FLATTEN, HALVING, SHUFFLING}

#: Operations that are activations, by name.
ACTIVATIONS = frozenset(name.replace("_", "") for name in f"{_ACTIVATIONS} prelu".split())
#: Activations that can also weigh another value.
GATES = frozenset({"sigmoid", "hardsigmoid"})

_IN_PLACE = frozenset({"iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "iand"})


@cache
def _kinds() -> dict[str, str]:
    """The kind of each operation by its name."""
    return {_plain(name): kind for kind, names in _NAMES.items() for name in names.split()}


@cache
def _functions() -> dict[Any, str]:
    """The names of functions: by identity, for others may bear the same name."""
    from torchvision.ops import stochastic_depth

    functions: dict[Any, str] = {stochastic_depth: "stochasticdepth"}
    for home in (torch, F, operator):
        for spelled in dir(home):
            name = _plain(spelled)
            if name in _kinds() and callable(getattr(home, spelled)):
                functions[getattr(home, spelled)] = name
    return functions


def operation(n: fx.Node, root: nn.Module | None = None) -> str:
    """The name of a node's operation, in lower case and without underscores; or empty.

    A layer has the name of its class in torch.nn, also where a library derives from it.
    """
    if n.op == "call_function":
        if n.target is getattr:
            return _plain(str(n.args[1]))
        return _functions().get(n.target, "")
    if n.op == "call_method":
        return _plain(str(n.target)) if hasattr(Tensor, str(n.target)) else ""
    if n.op == "call_module" and root is not None:
        return layer_name(root.get_submodule(str(n.target)))
    return ""


def kind(n: fx.Node, root: nn.Module | None = None) -> str:
    """The kind of a node's operation; empty if it is unknown."""
    result = _kinds().get(operation(n, root), "")
    if n.op == "call_module" and root is not None:
        followed = is_torch_layer(root.get_submodule(str(n.target))) and result in _OF_LAYERS
        return result if followed else ""
    return result


def is_torch_layer(layer: nn.Module) -> bool:
    """Whether a layer computes what its class in torch.nn does."""
    homes = (kind.__module__ for kind in type(layer).__mro__ if "forward" in vars(kind))
    return next(homes, "").startswith("torch.nn.") and "forward" not in vars(layer)


def layer_name(layer: nn.Module) -> str:
    """The name of the class in torch.nn that a layer is of, or derives from."""
    classes = (kind for kind in type(layer).__mro__ if kind.__module__.startswith("torch.nn."))
    return next(classes, nn.Module).__name__.lower()


def _plain(name: str) -> str:
    """A name without underscores and without the mark of in-place work."""
    plain = name.replace("_", "").lower()
    return plain[1:] if plain in _IN_PLACE else plain
