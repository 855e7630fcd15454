"""Low-rank adapters (LoRA, LoCon, LyCORIS) beside the weights that they change.

An adapter stores factors of a weight's change. They have the shapes of convolutions, but no
filter of a network is in them; with the base weight and the scale at hand they are added.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cwda.extract.tensors import NamedTensor

__all__ = ["ADAPTER", "add_adapters", "is_adapter"]

ADAPTER = "a factor of a low-rank adapter (LoRA and its like); give the network with it merged"

#: The part of a path that says so: its role, and perhaps the adapter's name after it.
_FACTOR = re.compile(
    r"(?P<stem>(.*\.)?)(?P<role>lora_(A|B|a|b|down|up|mid)|lora\.(down|up|mid))"
    r"(\.(?P<adapter>[^.]+))??(\.weight)?"
)
_OTHER = re.compile(
    r"(.*\.)?(hada_\w+|lokr_\w+|b?oft_\w+|ia3_\w+|lora_\w+|dora_scale|\w+_lora\.(down|up))(\..*)?"
)
_SCALING = re.compile(r"(?P<stem>(.*\.)?)lora_scaling\.(?P<adapter>[^.]+)")
_BASES = ("base_layer.weight", "weight", "conv.weight", "original_module.weight", "orig.weight")
_SIDES = {"A": "down", "a": "down", "down": "down", "B": "up", "b": "up", "up": "up", "mid": "mid"}
#: Magnitudes beside an adapter (DoRA), with which adding is not enough.
_MAGNITUDES = ("lora_magnitude_vector", "dora_scale")


def is_adapter(tensor: NamedTensor) -> bool:
    """Whether a tensor belongs to an adapter."""
    return bool(_FACTOR.fullmatch(tensor.name) or _OTHER.fullmatch(tensor.name))


@dataclass
class _Adapter:
    factors: dict[str, NamedTensor] = field(default_factory=dict)
    adapters: set[str] = field(default_factory=set)


_Key = tuple[tuple[str, ...], str]


def add_adapters(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Base weights with their adapter added where the scale is known; without it elsewhere."""
    found: dict[_Key, _Adapter] = {}
    for tensor in tensors:
        match = _FACTOR.fullmatch(tensor.name)
        if match:
            adapter = found.setdefault((tensor.container, match["stem"]), _Adapter())
            adapter.factors[_SIDES[re.split(r"[._]", match["role"])[-1]]] = tensor
            adapter.adapters.add(match["adapter"] or "")
    if not found:
        return tensors
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    made: dict[int, NamedTensor] = {}
    for (container, stem), adapter in found.items():
        base = next((b for n in _BASES if (b := by_path.get((container, stem + n)))), None)
        if base is not None and len(base.shape) >= 3:
            made[id(base)] = _with_adapter(base, adapter, container, stem, by_path)
    return [
        made.get(id(tensor), tensor) for tensor in tensors if not _SCALING.fullmatch(tensor.name)
    ]


def _with_adapter(
    base: NamedTensor,
    adapter: _Adapter,
    container: tuple[str, ...],
    stem: str,
    by_path: dict[_Key, NamedTensor],
) -> NamedTensor:
    name = base.name.removesuffix("base_layer.weight") + "weight"
    name = name if base.name.endswith("base_layer.weight") else base.name
    down, up = adapter.factors.get("down"), adapter.factors.get("up")
    if base.reason or down is None or up is None:
        return _alone(base, name, "a factor of it is missing")
    if len(adapter.adapters) > 1:
        return _alone(base, name, "the source has several")
    if any((container, stem + each) in by_path for each in _MAGNITUDES):
        return _alone(base, name, "it has magnitudes of its own (DoRA)")
    scale = _scale(adapter, container, stem, by_path)
    if scale is None:
        return _alone(base, name, "the source does not state its scale")
    change = _change(base, down, up, adapter.factors.get("mid"))
    if change is None:
        return _alone(base, name, "its factors do not fit the weight")
    factor, how = scale

    def read() -> Tensor:
        values = base.read()
        return (values.double() + factor() * change()).to(values.dtype)

    return replace(base, name=name, read=read, storage=None, assumption=how)


def _alone(base: NamedTensor, name: str, why: str) -> NamedTensor:
    return replace(base, name=name, assumption=f"without the low-rank adapter beside it: {why}")


_WITH = "with the low-rank adapter beside it added, {}"


def _scale(
    adapter: _Adapter, container: tuple[str, ...], stem: str, by_path: dict[_Key, NamedTensor]
) -> tuple[Callable[[], float], str] | None:
    """The factor of an adapter's change, and in words where it is from."""
    label = next(iter(adapter.adapters)) or "default"
    stated = by_path.get((container, f"{stem}lora_scaling.{label}"))
    if stated is not None:
        return (lambda: float(stated.read()), _WITH.format("as its layer scales it"))
    down, rank = adapter.factors["down"], adapter.factors["down"].shape[0]
    names = (f"{stem}alpha", f"{stem}lora_alpha")
    alpha = next((a for n in names if (a := by_path.get((container, n)))), None)
    if alpha is not None and math.prod(alpha.shape) == 1 and not alpha.reason and rank:
        return (lambda: float(alpha.read()) / rank, _WITH.format("times alpha / rank"))
    if down.name.endswith(("lora_down.weight", "lora.down.weight")):
        # The trainers that write these names set alpha = rank where it is not stored.
        return (lambda: 1.0, _WITH.format("times 1, because no alpha is stored"))
    return None


def _change(
    base: NamedTensor, down: NamedTensor, up: NamedTensor, mid: NamedTensor | None
) -> Callable[[], Tensor] | None:
    """The product of the factors in the shape of the weight."""
    factors = [each for each in (down, up, mid) if each is not None]
    if any(each.reason or each.dtype is None or len(each.shape) < 2 for each in factors):
        return None
    rank = down.shape[0]
    if up.shape[1] != rank or 0 in (*down.shape, *up.shape):
        return None
    if mid is None:
        sizes = [math.prod(each.shape) for each in (up, down, base)]
        if sizes[0] // rank * (sizes[1] // rank) != sizes[2] or math.prod(up.shape[2:]) != 1:
            return None
        return lambda: (_matrix(up) @ _matrix(down)).reshape(base.shape)
    inputs = math.prod(down.shape[1:])
    fits = mid.shape[:2] == (rank, rank) and mid.shape[2:] == base.shape[2:]
    if not fits or (up.shape[0], inputs) != base.shape[:2]:
        return None
    return lambda: torch.einsum(
        "or,rsk,si->oik", _matrix(up), mid.read().double().flatten(2), _matrix(down)
    ).reshape(base.shape)


def _matrix(tensor: NamedTensor) -> Tensor:
    return tensor.read().to(torch.float32).double().flatten(1)
