"""Operators of whole layers between a stored tensor and a weight: Gemm, normalisations, Where."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cwda.onnx_files.values import Call, Computation, Rule, UnknownValueError

__all__ = ["LAYERS"]

_Made = tuple[tuple[int, ...], Computation]


def _real(call: Call, name: str, default: float) -> float:
    attribute = call.attribute(name)
    return default if attribute is None or attribute.real is None else attribute.real


def _where(call: Call) -> _Made:
    if call.value(0).dtype != torch.bool:
        raise UnknownValueError("Where does not fit its inputs")
    return (0, 1, 2), torch.where


def _gemm(call: Call) -> _Made:
    alpha, beta = _real(call, "alpha", 1.0), _real(call, "beta", 1.0)
    turned = call.number("transA", 0), call.number("transB", 0)

    def compute(left: Tensor, right: Tensor, added: Tensor | None = None) -> Tensor:
        left, right = (m.T if t else m for m, t in zip((left, right), turned, strict=True))
        product = alpha * (left @ right)
        return product if added is None else product + beta * added

    if len(call.value(0).shape) != 2 or len(call.value(1).shape) != 2:
        raise UnknownValueError("Gemm does not fit its inputs")
    return ((0, 1, 2) if call.given(2) else (0, 1)), compute


def _batch_norm(call: Call) -> _Made:
    """By the stored mean and variance, or by the tensor's own (weight standardisation)."""
    if call.output:
        raise UnknownValueError("a second output of BatchNormalization")
    eps, own = _real(call, "epsilon", 1e-5), bool(call.number("training_mode", 0))

    def compute(x: Tensor, scale: Tensor, bias: Tensor, *stored: Tensor) -> Tensor:
        mean, variance = (None, None) if own else stored
        return functional.batch_norm(x, mean, variance, scale, bias, training=own, eps=eps)

    return ((0, 1, 2) if own else (0, 1, 2, 3, 4)), compute


def _instance_norm(call: Call) -> _Made:
    eps = _real(call, "epsilon", 1e-5)

    def compute(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return functional.instance_norm(x, weight=scale, bias=bias, eps=eps)

    return (0, 1, 2), compute


LAYERS: dict[str, Rule] = {
    "Where": _where,
    "Gemm": _gemm,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "Equal": lambda call: ((0, 1), torch.eq),
    "Greater": lambda call: ((0, 1), torch.gt),
    "GreaterOrEqual": lambda call: ((0, 1), torch.ge),
    "Less": lambda call: ((0, 1), torch.lt),
    "LessOrEqual": lambda call: ((0, 1), torch.le),
    "Not": lambda call: ((0,), torch.logical_not),
}
