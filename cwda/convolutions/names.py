"""Short, unique names of layers from their paths in a source."""

from __future__ import annotations

import re

from cwda.containers.names import LEAF, split_leaf
from cwda.containers.tensors import NamedTensor

__all__ = ["layer_names"]

#: Keys under which programs keep a state dict.
_WRAPPERS = frozenset(
    {"state_dict", "model_state_dict", "model_state", "model", "net", "network", "module"}
    | {"weights", "params", "state", "model_weights"}
)
_COMPILED = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module)(?=\.)")


def layer_names(weights: list[NamedTensor]) -> list[str]:
    """A name for each layer: its path without wrappers, common keys and ``.weight``.

    Names stay as the source's state dict has them; where several state dicts hold layers,
    the keys that tell them apart come first. If that is not unique, full paths are given.
    """
    shared = _shared_container(weights)
    names = [".".join((*tensor.container[shared:], tensor.name)) for tensor in weights]
    names = [_COMPILED.sub(lambda m: m.group(1), name).lstrip(".") for name in names]
    names = [name.replace("..", ".") for name in names]
    while names and all(name.startswith("module.") for name in names):
        names = [name.removeprefix("module.") for name in names]
    names = [_without_leaf(name) for name in names]
    if len(set(names)) == len(names):
        return names
    return _unique([_without_leaf(tensor.path) for tensor in weights])


def _shared_container(weights: list[NamedTensor]) -> int:
    """How many leading keys all layers have in common, and may lose."""
    containers = [tensor.container for tensor in weights]
    shared = 0
    for keys in zip(*containers, strict=False):
        if len(set(keys)) > 1:
            break
        shared += 1
    # The key above a bare "weight" is the layer's own name, unless it is a usual wrapper.
    bare = any(
        len(tensor.container) == shared and LEAF.fullmatch(tensor.name) for tensor in weights
    )
    if shared and bare and containers[0][shared - 1] not in _WRAPPERS:
        shared -= 1
    return shared


def _without_leaf(name: str) -> str:
    stem, leaf = split_leaf(name)
    if not stem or not LEAF.fullmatch(leaf):
        return name
    kept = name if leaf in _KEPT else stem
    return kept.replace(name[len(stem)], ".")


#: Endings that tell two layers of one module apart.
_KEPT = frozenset(
    {"depthwise_kernel", "pointwise_kernel", "depthwise_weights", "pointwise_weights"}
)


def _unique(names: list[str]) -> list[str]:
    count: dict[str, int] = {}
    result = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        result.append(name if count[name] == 1 else f"{name}#{count[name]}")
    return result
