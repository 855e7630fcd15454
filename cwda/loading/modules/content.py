"""Modules in memory, and what a module on the meta device tells about a state dict."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from cwda.containers.archives import archive_of_bytes
from cwda.containers.names import split_leaf
from cwda.containers.storages import QUANTISED
from cwda.containers.tensors import Content, NamedTensor
from cwda.errors import reason_of
from cwda.layers import Skipped
from cwda.loading.architectures.old_names import current_name
from cwda.loading.modules.left_alone import random_state_kept
from cwda.loading.modules.used_weights import is_plain, parametrised_tensor, used_weight
from cwda.torch_files.tree import walk, with_aliases

__all__ = ["content_of_module", "with_blueprint"]

#: Scales of one-byte weights, which are not factors of a parametrised weight.
_SCALE = re.compile(r"scal|zero_point|zp")


def content_of_module(module: nn.Module) -> Content:
    """The weights of a module, as its forward pass would use them now.

    The module and the random state are left as they were.
    """
    reader = _Reader()
    with random_state_kept():
        reader.visit(module, "")
    tensors = with_aliases(reader.tensors, reader.again)
    tensors = [tensor for tensor in tensors if tensor.name not in reader.contained]
    kind = "TorchScript" if isinstance(module, torch.jit.ScriptModule) else "module"
    return Content(kind, tensors, reader.skipped, _outer_hooks(module))


def _outer_hooks(module: nn.Module) -> list[str]:
    """A line about hooks that need the network's input, which only a forward pass has."""
    names = [
        path or type(part).__name__
        for path, part in module.named_modules()
        if not isinstance(part, _ConvNd | torch.jit.ScriptModule)
        and any(isinstance(inner, _ConvNd) for inner in part.modules())
        and any(map(_is_the_users, part._forward_pre_hooks.values()))
    ]
    if not names:
        return []
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [f"the hooks before the forward pass of {shown} were not run: they need its input"]


def _is_the_users(hook: object) -> bool:
    return not (getattr(hook, "__module__", None) or type(hook).__module__).startswith("torch.")


@dataclass
class _Reader:
    """Walks a module, each part once, in the order of its children."""

    tensors: list[NamedTensor] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    #: First and last place in `tensors` and prefix of each part, and its later prefixes.
    places: dict[int, tuple[int, int, str]] = field(default_factory=dict)
    again: list[tuple[int, int, str, str]] = field(default_factory=list)
    #: Names of adapters' tensors that effective weights contain already.
    contained: set[str] = field(default_factory=set)

    def visit(self, part: nn.Module, prefix: str) -> None:
        if id(part) in self.places:
            start, end, first = self.places[id(part)]
            self.again.append((start, end, first, prefix))
            return
        start = len(self.tensors)
        self.places[id(part)] = (start, start, prefix)
        if not (isinstance(part, torch.jit.ScriptModule) and self._script(part, prefix)):
            self._own(part, prefix)
            for name, child in part._modules.items():
                if child is not None and name != "parametrizations":
                    self.visit(child, f"{prefix}{name}.")
        self.places[id(part)] = (start, len(self.tensors), prefix)

    def _own(self, part: nn.Module, prefix: str) -> None:
        """The tensors of one part."""
        convolution = isinstance(part, _ConvNd)
        start = len(self.tensors)
        if isinstance(part, _ConvNd):
            self._convolution(part, f"{prefix}weight")
        elif _is_quantised(part):
            shape = tuple(part.weight().shape)  # type: ignore[operator]
            self.skipped.append(Skipped(f"{prefix}weight", shape, QUANTISED))
        else:
            self._parametrised(part, prefix)
        for name, value in (*part._parameters.items(), *part._buffers.items()):
            factor = convolution and name.startswith("weight") and not _SCALE.search(name)
            if value is not None and not factor and not is_lazy(value):
                self.tensors.append(_of_other(part, f"{prefix}{name}", value))
        if not convolution:
            self.tensors[start:] = [_with_groups(part, tensor) for tensor in self.tensors[start:]]
        self.tensors += _scaling(part, prefix)

    def _convolution(self, part: _ConvNd, name: str) -> None:
        try:
            used = used_weight(part)
        except Exception as error:
            reason = f"cannot be computed ({type(error).__name__}: {reason_of(error)})"
            self.skipped.append(Skipped(name, (), reason))
            return
        self.contained |= {
            f"{name.removesuffix('weight')}{source}"
            for source in used.sources
            if used.assumption and "lora_" in source
        }
        if is_lazy(used.weight):
            self.skipped.append(Skipped(name, (), "a lazy layer without weights yet"))
            return
        tensor = walk({name: used.weight})[0]
        if not is_plain(part):  # its copy may lie where another copy lay before
            tensor = replace(tensor, storage=None)
        self.tensors.append(
            replace(
                tensor,
                is_conv=True,
                groups=used.groups,
                transposed=used.transposed,
                assumption=used.assumption or tensor.assumption,
            )
        )

    def _parametrised(self, part: nn.Module, prefix: str) -> None:
        """Tensors that another module than a convolution computes from others."""
        for name in getattr(part, "parametrizations", {}):
            try:
                value = parametrised_tensor(part, name)
            except Exception as error:
                reason = f"cannot be computed ({type(error).__name__}: {reason_of(error)})"
                self.skipped.append(Skipped(f"{prefix}{name}", (), reason))
                continue
            self.tensors.append(replace(_of_other(part, f"{prefix}{name}", value), storage=None))

    def _script(self, part: torch.jit.ScriptModule, prefix: str) -> bool:
        """A scripted or traced part, read as the file that it would be saved to."""
        from cwda.torch_files.files import read_zip

        try:
            content = read_zip(archive_of_bytes(part.save_to_buffer()))
        except Exception:  # not all parts of a traced module can be saved alone
            return False
        self.tensors += [
            replace(tensor, name=f"{prefix}{tensor.name}") for tensor in content.tensors
        ]
        return True


def _is_quantised(part: nn.Module) -> bool:
    return type(part).__module__.startswith(
        ("torch.ao.nn.quantized", "torch.nn.quantized", "torch.ao.nn.intrinsic.quantized")
    ) and callable(getattr(part, "weight", None))


def _scaling(part: nn.Module, prefix: str) -> Iterator[NamedTensor]:
    """The factor of the only active low-rank adapter of a layer, as a tensor next to it."""
    own = {*part._modules, *part._parameters}
    if not own & {"lora_A", "lora_down"}:
        return
    scaling = _as_scaling(getattr(part, "scaling" if "lora_A" in own else "scale", None))
    off = bool(getattr(part, "merged", False) or getattr(part, "disable_adapters", False))
    active = getattr(part, "active_adapters", list(scaling))
    for name in scaling if off else active if len(active) == 1 else ():
        factor = torch.tensor(0.0 if off else float(scaling[name]))
        yield walk({f"{prefix}lora_scaling.{name}": factor})[0]


def _as_scaling(value: Any) -> dict[str, Any]:
    """Factors by the names of adapters."""
    if isinstance(value, dict):
        return value
    single = isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)
    return {"default": value} if single else {}


def _with_groups(part: nn.Module, tensor: NamedTensor) -> NamedTensor:
    """The weight of a convolution of another class, with the groups that it keeps."""
    groups, transposed = getattr(part, "groups", None), getattr(part, "transposed", None)
    fits = (
        split_leaf(tensor.name)[1] == "weight"
        and len(tensor.shape) >= 3
        and hasattr(part, "kernel_size")
        and isinstance(groups, int)
        and groups >= 1
        and tensor.shape[0] % groups == 0
    )
    if not fits or not isinstance(groups, int):
        return tensor
    known_transposed = transposed if isinstance(transposed, bool) else tensor.transposed
    return replace(tensor, groups=int(groups), transposed=known_transposed)


def _of_other(part: nn.Module, name: str, value: Tensor) -> NamedTensor:
    tensor = walk({name: value})[0]
    kind = type(part)
    tensor = replace(tensor, origin=f"{kind.__module__}.{kind.__qualname__}")
    if kind.__module__.startswith("torch.nn.modules."):
        return replace(tensor, is_conv=False)
    return tensor


def with_blueprint(content: Content, module: nn.Module) -> Content:
    """`content` with groups and transposition of the module of the same architecture."""
    convolutions = {
        f"{path}.weight": part for path, part in module.named_modules() if isinstance(part, _ConvNd)
    }

    def informed(tensor: NamedTensor) -> NamedTensor:
        part = convolutions.get(current_name(tensor.name, convolutions))
        if part is None or tuple(part.weight.shape) != tensor.shape:
            return tensor
        return replace(tensor, is_conv=True, groups=part.groups, transposed=part.transposed)

    return replace(content, tensors=[informed(tensor) for tensor in content.tensors])
