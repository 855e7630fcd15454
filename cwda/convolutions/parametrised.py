"""Effective weights where the source stores their factors: masks, weight and spectral norm.

A forward pass never sees the stored factors, so neither do the tests: each triple or pair is
put together by the formula of the `torch.nn.utils` function that made it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from cwda.containers.tensors import NamedTensor

__all__ = ["combine"]


def combine(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Replace the factors of each weight by the weight, at the place of the first factor."""
    tensors = _masks_applied(tensors)
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    counts = _tensors_of_parametrisations(tensors)
    made: dict[int, NamedTensor] = {}
    used: set[int] = set()
    for tensor in tensors:
        for suffixes, rule in _RULES:
            if not tensor.name.endswith(suffixes[0]):
                continue
            stem = tensor.name[: -len(suffixes[0])]
            factors = [by_path.get((tensor.container, stem + suffix)) for suffix in suffixes]
            present = [factor for factor in factors if factor is not None]
            more = counts.get(_parametrised_stem(tensor), 0) > len(suffixes)
            if len(present) == len(suffixes) and _readable(present) and not more:
                weight = rule(present, f"{stem}weight")
                if weight is not None:
                    made[id(present[0])] = weight
                    used.update(id(factor) for factor in present)
                    break
    # A pickled module has the weight of its last forward pass next to its factors.
    stale = {(weight.container, weight.name) for weight in made.values()}
    kept = [
        made.get(id(t), t)
        for t in tensors
        if id(t) in made or (id(t) not in used and (t.container, t.name) not in stale)
    ]
    return [_unknown(t) if t.name.endswith(_ORIGINALS) and not t.reason else t for t in kept]


_PARAMETRISED = "parametrizations.weight."
_ORIGINALS = tuple(f"{_PARAMETRISED}original{number}" for number in ("", "0", "1"))


def _parametrised_stem(tensor: NamedTensor) -> tuple[tuple[str, ...], str]:
    """The parametrised weight that a tensor belongs to."""
    stem, separator, _ = tensor.name.partition(_PARAMETRISED)
    return (tensor.container, stem if separator else "")


def _tensors_of_parametrisations(
    tensors: list[NamedTensor],
) -> dict[tuple[tuple[str, ...], str], int]:
    """How many tensors each parametrised weight has: more than a rule knows are a chain."""
    count: dict[tuple[tuple[str, ...], str], int] = {}
    for tensor in tensors:
        if _PARAMETRISED in tensor.name:
            key = _parametrised_stem(tensor)
            count[key] = count.get(key, 0) + 1
    return count


def _unknown(tensor: NamedTensor) -> NamedTensor:
    return replace(
        tensor,
        reason="parametrised by code that a state dict does not hold; give the module itself",
    )


def _masks_applied(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Masked tensors in place of their originals and masks, whatever they are factors of."""
    by_path = {(tensor.container, tensor.name): tensor for tensor in tensors}
    result, used = [], set()
    made: dict[tuple[tuple[str, ...], str], NamedTensor] = {}
    for tensor in tensors:
        stem = tensor.name.removesuffix("_orig")
        mask = by_path.get((tensor.container, f"{stem}_mask"))
        weight = None
        if stem != tensor.name and mask is not None and _readable([tensor, mask]):
            weight = _masked([tensor, mask], stem)
            used.add(id(mask) if weight is not None else 0)
        if weight is not None:
            made[weight.container, weight.name] = weight
        result.append(tensor if weight is None else weight)
    return [
        tensor
        for tensor in result
        if id(tensor) not in used and made.get((tensor.container, tensor.name), tensor) is tensor
    ]


_Rule = Callable[[list[NamedTensor], str], NamedTensor | None]


def _readable(factors: list[NamedTensor]) -> bool:
    return all(f.dtype is not None and not f.reason for f in factors) and len(factors[0].shape) >= 3


def _made(
    factors: list[NamedTensor], name: str, read: Callable[[], Tensor], words: str
) -> NamedTensor:
    places = tuple(factor.storage for factor in factors)
    notes = (*(factor.assumption for factor in factors), words)
    return replace(
        factors[0],
        name=name,
        read=read,
        storage=None if None in places else places,
        assumption="; ".join(dict.fromkeys(filter(None, notes))),
    )


def _masked(factors: list[NamedTensor], name: str) -> NamedTensor | None:
    original, mask = factors
    if mask.shape != original.shape:
        return None
    leaf = name.rpartition(".")[2]
    words = (
        f"effective weights: {leaf}_orig times {leaf}_mask, as torch.nn.utils.prune computes them"
    )
    return _made(factors, name, lambda: original.read() * mask.read(), words)


def _weight_norm(factors: list[NamedTensor], name: str) -> NamedTensor | None:
    direction, length = factors
    kept = [axis for axis, size in enumerate(length.shape) if size != 1]
    fits = len(length.shape) in (0, len(direction.shape)) and all(
        length.shape[axis] == direction.shape[axis] for axis in kept
    )
    if not fits:
        return None

    def read() -> Tensor:
        v, g = direction.read(), length.read()
        axes = [axis for axis in range(v.ndim) if axis not in kept]
        # A single filter has g of ones everywhere; its norm goes over all other axes.
        norm = torch.linalg.vector_norm(v, dim=axes, keepdim=True)
        weight: Tensor = g * (v / norm)
        return weight

    return _made(factors, name, read, "effective weights: weight norm g v / ||v||")


def _spectral_norm(factors: list[NamedTensor], name: str) -> NamedTensor | None:
    original, left, right = factors
    axes = [axis for axis, size in enumerate(original.shape) if (size,) == left.shape]
    if not axes or len(right.shape) != 1:
        return None
    # PyTorch unrolls a transposed convolution along its second axis.
    axis = 1 if original.transposed and 1 in axes else axes[0]

    def read() -> Tensor:
        weight = original.read()
        rows = weight.movedim(axis, 0).flatten(1)
        return weight / torch.dot(left.read(), rows @ right.read())

    return _made(factors, name, read, "effective weights: spectral norm W / (u' W v)")


_RULES: list[tuple[tuple[str, ...], _Rule]] = [
    (("weight_orig", "weight_u", "weight_v"), _spectral_norm),
    (("weight_v", "weight_g"), _weight_norm),
    (("parametrizations.weight.original1", "parametrizations.weight.original0"), _weight_norm),
    (
        (
            "parametrizations.weight.original",
            "parametrizations.weight.0._u",
            "parametrizations.weight.0._v",
        ),
        _spectral_norm,
    ),
]
