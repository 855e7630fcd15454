"""Modules in memory, and what a module on the meta device tells about a state dict."""

from __future__ import annotations

import re
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

from cwda.extract.old_names import current_name
from cwda.extract.tensors import Content, NamedTensor
from cwda.extract.tree import walk
from cwda.layers import Skipped

__all__ = ["read_module", "with_blueprint"]


def read_module(module: nn.Module) -> Content:
    """The weights of a module, as its forward pass would use them now."""
    tensors: list[NamedTensor] = []
    skipped: list[Skipped] = []
    for path, part in module.named_modules():
        prefix = f"{path}." if path else ""
        convolution = isinstance(part, _ConvNd)
        if convolution:
            weight = part.weight  # for a parametrised module this is the effective weight
            if isinstance(weight, UninitializedParameter):
                skipped.append(Skipped(f"{prefix}weight", (), "a lazy layer without weights yet"))
            else:
                tensors.append(_of_convolution(part, f"{prefix}weight"))
        own = dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        for name, value in own.items():
            factor = convolution and name.startswith("weight")
            inside = re.search(r"(^|\.)parametrizations\.weight(\.|$)", prefix)
            if not factor and not inside and not isinstance(value, UninitializedParameter):
                tensors.append(_of_other(part, f"{prefix}{name}", value))
    return Content("module", tensors, skipped)


def _of_convolution(part: _ConvNd, name: str) -> NamedTensor:
    tensor = walk({name: part.weight})[0]
    return replace(tensor, is_conv=True, groups=part.groups, transposed=part.transposed)


def _of_other(part: nn.Module, name: str, value: Tensor) -> NamedTensor:
    tensor = walk({name: value})[0]
    kind = type(part)
    if kind.__module__.startswith("torch.nn.modules."):
        return replace(tensor, is_conv=False, origin=f"{kind.__module__}.{kind.__qualname__}")
    return tensor


def with_blueprint(content: Content, module: nn.Module) -> Content:
    """`content` with groups and transposition of the module of the same architecture."""
    known = {
        f"{path}.weight": part for path, part in module.named_modules() if isinstance(part, _ConvNd)
    }

    def informed(tensor: NamedTensor) -> NamedTensor:
        part = known.get(current_name(tensor.name, known))
        if part is None or tuple(part.weight.shape) != tensor.shape:
            return tensor
        return replace(tensor, is_conv=True, groups=part.groups, transposed=part.transposed)

    return replace(content, tensors=[informed(tensor) for tensor in content.tensors])
