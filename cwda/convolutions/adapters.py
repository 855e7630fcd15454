"""Low-rank adapters (LoRA, LoCon, LyCORIS) next to the weights that they change.

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

from cwda.containers.tensors import NamedTensor

__all__ = ["ADAPTER", "add_adapters", "is_adapter"]

ADAPTER = "a factor of a low-rank adapter (LoRA and its like); give the network with it merged"

#: What each of the names below contains; most sources have none.
_HINT = re.compile(r"lora|hada_|lokr_|oft_|ia3_")
#: The part of a path that says so: its role, and perhaps the adapter's name after it.
_FACTOR = re.compile(
    r"(?P<stem>(.*\.)?)(?P<role>lora_(A|B|a|b|down|up|mid)|lora\.(down|up|mid))"
    r"(\.(?P<adapter>[^.]+))??(\.weight)?"
)
_OTHER = re.compile(
    r"(.*\.)?(hada_\w+|lokr_\w+|b?oft_\w+|ia3_\w+|lora_\w+\.(down|up|mid|[ab]|lora_\w+)|"
    r"lora_(\w*_)?([a-z]|layers?|magnitude_vector|scaling|down|up|mid)|dora_scale|"
    r"\w+_lora\.(down|up))(\..*)?|(.*\.)?lora_\w+(\.[^.]+)?",
    re.IGNORECASE,
)
_SCALING = re.compile(r"(?P<stem>(.*\.)?)lora_scaling\.(?P<adapter>[^.]+)")
_BASES = ("base_layer.weight", "weight", "conv.weight", "original_module.weight", "orig.weight")
_SIDES = {"A": "down", "a": "down", "down": "down", "B": "up", "b": "up", "up": "up", "mid": "mid"}
#: Magnitudes next to an adapter (DoRA), with which adding is not enough.
_MAGNITUDES = re.compile(r"(?P<stem>(.*\.)?)(lora_magnitude_vector|dora_scale)(\..*)?")


def is_adapter(tensor: NamedTensor) -> bool:
    """Whether a tensor belongs to an adapter."""
    name = tensor.name
    return bool(_HINT.search(name) and (_FACTOR.fullmatch(name) or _OTHER.fullmatch(name)))


@dataclass
class _Adapter:
    factors: dict[str, NamedTensor] = field(default_factory=dict)
    adapters: set[str] = field(default_factory=set)


_Key = tuple[tuple[str, ...], str]


def add_adapters(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Base weights with their adapter added where the scale is known; without it elsewhere."""
    adapters: dict[_Key, _Adapter] = {}
    for tensor in tensors:
        match = _HINT.search(tensor.name) and _FACTOR.fullmatch(tensor.name)
        if match:
            adapter = adapters.setdefault((tensor.container, match["stem"]), _Adapter())
            adapter.factors[_SIDES[re.split(r"[._]", match["role"])[-1]]] = tensor
            adapter.adapters.add(match["adapter"] or "")
    if not adapters:
        return tensors
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    scaled = {
        (tensor.container, match["stem"])
        for tensor in tensors
        if (match := _MAGNITUDES.fullmatch(tensor.name))
    }
    made: dict[int, NamedTensor] = {}
    used: set[int] = set()
    for (container, stem), adapter in adapters.items():
        base = next((b for n in _BASES if (b := by_path.get((container, stem + n)))), None)
        if base is None or len(base.shape) < 3 or base.reason:
            continue
        scale = _scale(adapter, container, stem, by_path)
        several = (container, stem) in scaled
        problem = "it has magnitudes of its own (DoRA)" if several else _problem(adapter, scale)
        change = None if problem else _change(base, adapter.factors)
        if change is not None and scale is not None:
            made[id(base)] = _added(base, change, scale)
            used.update(map(id, adapter.factors.values()))
        else:
            made[id(base)] = _alone(base, problem or "its factors do not fit the weight")
    return [
        made.get(id(tensor), tensor)
        for tensor in tensors
        if id(tensor) not in used and not _SCALING.fullmatch(tensor.name)
    ]


def _problem(adapter: _Adapter, scale: object) -> str:
    """Why an adapter cannot be added; empty if nothing is known to be in the way."""
    if not {"down", "up"} <= set(adapter.factors):
        return "a factor of it is missing"
    if len(adapter.adapters) > 1:
        return "the source has several"
    return "" if scale is not None else "the source does not state its scale"


def _plain_name(base: NamedTensor) -> str:
    """Name of a base weight without the wrapper that an adapter puts around its layer."""
    return re.sub(r"(^|\.)base_layer\.weight$", r"\1weight", base.name)


def _added(
    base: NamedTensor, change: Callable[[], Tensor], scale: tuple[Callable[[], float], str]
) -> NamedTensor:
    factor, words = scale

    def read() -> Tensor:
        values = base.read()
        return (values.double() + factor() * change()).to(values.dtype)

    return replace(
        base, name=_plain_name(base), read=read, storage=None, assumption=_joined(base, words)
    )


def _alone(base: NamedTensor, why: str) -> NamedTensor:
    words = f"without the low-rank adapter next to it: {why}"
    return replace(base, name=_plain_name(base), assumption=_joined(base, words))


def _joined(base: NamedTensor, words: str) -> str:
    return "; ".join(filter(None, (base.assumption, words)))


_WITH = "with the low-rank adapter next to it added, {}"


def _scale(
    adapter: _Adapter, container: tuple[str, ...], stem: str, by_path: dict[_Key, NamedTensor]
) -> tuple[Callable[[], float], str] | None:
    """The factor of an adapter's change, and in words where it is from."""
    label = next(iter(adapter.adapters)) or "default"
    stated = by_path.get((container, f"{stem}lora_scaling.{label}"))
    if stated is not None:
        return (lambda: float(stated.read()), _WITH.format("as its layer scales it"))
    down = adapter.factors.get("down")
    rank = down.shape[0] if down is not None and down.shape else 0
    names = (f"{stem}alpha", f"{stem}lora_alpha")
    alpha = next((a for n in names if (a := by_path.get((container, n)))), None)
    if alpha is not None and math.prod(alpha.shape) == 1 and not alpha.reason and rank:
        return (lambda: float(alpha.read()) / rank, _WITH.format("times alpha / rank"))
    if down is not None and down.name.endswith(("lora_down.weight", "lora.down.weight")):
        # The trainers that write these names set alpha = rank where it is not stored.
        return (lambda: 1.0, _WITH.format("times 1, because no alpha is stored"))
    return None


def _change(base: NamedTensor, factors: dict[str, NamedTensor]) -> Callable[[], Tensor] | None:
    """The product of the factors in the shape of the weight; None if they do not fit."""
    if any(f.reason or f.dtype is None or len(f.shape) < 2 for f in factors.values()):
        return None
    down, up, mid = factors["down"], factors["up"], factors.get("mid")
    rank = down.shape[0]
    if up.shape[1] != rank or 0 in (*down.shape, *up.shape):
        return None
    if mid is None:
        sizes = [math.prod(part.shape) for part in (up, down, base)]
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
