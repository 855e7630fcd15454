"""Which kind of operation a node of a graph is, as far as channels are concerned."""

from __future__ import annotations

import operator
from functools import cache
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.modules import pooling

__all__ = [
    "ADDITIVE",
    "ELEMENTWISE",
    "FLATTEN",
    "MOVING",
    "MULTIPLICATIVE",
    "PADDING",
    "PER_CHANNEL",
    "REDUCING",
    "RESHAPING",
    "kind",
]

ADDITIVE = "sum of two values: 0 where both are"
MULTIPLICATIVE = "product of two values: 0 where one is"
ELEMENTWISE = "function of each element"
PER_CHANNEL = "function of each channel's plane that keeps zeros"
REDUCING = "reduction along axes that keeps zeros"
MOVING = "elements moved, not changed"
FLATTEN = "axes merged"
RESHAPING = "axes merged or split to sizes given"
PADDING = "elements added round a value"

_MODULES: dict[str, tuple[type[nn.Module], ...]] = {
    ELEMENTWISE: (
        *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU),
        *(nn.SiLU, nn.Mish, nn.Hardswish, nn.Tanh, nn.Hardtanh, nn.Softsign, nn.Softplus),
        *(nn.Sigmoid, nn.Hardsigmoid, nn.LogSigmoid, nn.Identity),
        *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    ),
    PER_CHANNEL: (
        *(pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveAvgPoolNd),
        *(pooling._AdaptiveMaxPoolNd, pooling._LPPoolNd, nn.Upsample),
        *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d),
        *(nn.ReflectionPad3d, nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
    ),
    FLATTEN: (nn.Flatten,),
}

_METHODS: dict[str, tuple[str, ...]] = {
    ADDITIVE: ("add", "add_", "sub", "sub_"),
    MULTIPLICATIVE: ("mul", "mul_"),
    ELEMENTWISE: (
        *("relu", "relu_", "sigmoid", "tanh", "clamp", "clamp_", "abs", "neg", "div", "pow"),
        *("clone", "detach", "float", "to"),
    ),
    REDUCING: ("mean", "sum", "amax", "amin"),
    MOVING: ("permute", "transpose", "squeeze", "unsqueeze", "contiguous"),
    FLATTEN: ("flatten",),
    RESHAPING: ("view", "reshape"),
}


@cache
def _functions() -> dict[Any, str]:
    from torchvision.ops import stochastic_depth

    table: dict[str, tuple[Any, ...]] = {
        ADDITIVE: (operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub),
        MULTIPLICATIVE: (operator.mul, operator.imul, torch.mul),
        ELEMENTWISE: (
            *(F.relu, F.relu_, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu),
            *(F.mish, F.hardswish, F.hardtanh, F.hardsigmoid, F.sigmoid, F.tanh, F.softplus),
            *(torch.relu, torch.relu_, torch.sigmoid, torch.tanh, torch.clamp, torch.abs),
            *(F.dropout, F.dropout2d, F.dropout3d, stochastic_depth),
            *(operator.neg, operator.truediv, operator.pow, torch.div, torch.pow),
        ),
        PER_CHANNEL: (
            *(F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
            *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
            *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d, F.interpolate),
        ),
        REDUCING: (torch.mean, torch.sum, torch.amax, torch.amin),
        MOVING: (
            *(torch.cat, torch.concat, torch.concatenate, torch.permute, torch.transpose),
            *(torch.squeeze, torch.unsqueeze, operator.getitem),
        ),
        FLATTEN: (torch.flatten,),
        RESHAPING: (torch.reshape,),
        PADDING: (F.pad, torch.nn.functional.pad),
    }
    return {function: name for name, functions in table.items() for function in functions}


def kind(n: fx.Node, root: nn.Module | None = None) -> str:
    """The kind of a node's operation; empty if it is none of those known."""
    if n.op == "call_function":
        return _functions().get(n.target, "")
    if n.op == "call_method":
        return next((name for name, known in _METHODS.items() if n.target in known), "")
    if n.op == "call_module" and root is not None:
        module = root.get_submodule(str(n.target))
        return next((name for name, known in _MODULES.items() if isinstance(module, known)), "")
    return ""
