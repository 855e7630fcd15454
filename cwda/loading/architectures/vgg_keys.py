"""The plan of a VGG for small images, from the keys and shapes of its weights."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from cwda.containers.tensors import NamedTensor
from cwda.models.vgg import CONFIGURATIONS, HeadLayer, VGGPlan

__all__ = ["vgg_plan"]

State = Mapping[str, NamedTensor]

#: Names of the container of the convolutions, and whether the fifth stage ends with max pooling.
_CONTAINERS = {"features": True, "feature": False}
_MOST_HEAD_LAYERS = 8


def vgg_plan(state: State) -> VGGPlan | None:
    """The plan of the network that the keys describe; None if they describe none.

    Positions in the container tell where pooling stands: it takes one of them.
    """
    for features, last_pool in _CONTAINERS.items():
        convolutions = _convolutions(state, features)
        if not convolutions:
            continue
        batchnorm = f"{features}.1.running_mean" in state
        stages = _stages(convolutions, 3 if batchnorm else 2)
        if stages is None:
            return None
        head = _head(state, f"{features}.", stages[-1][-1])
        if head is None:
            return None
        return VGGPlan(
            stages,
            head,
            in_channels=convolutions[0][1],
            batchnorm=batchnorm,
            bias=f"{features}.0.bias" in state,
            features=features,
            last_pool=last_pool,
        )
    return None


def _convolutions(state: State, features: str) -> dict[int, tuple[int, int]]:
    """Filters and channels of the 3 x 3 convolutions by position, from the first on."""
    widths = {}
    for key, tensor in state.items():
        match = re.fullmatch(rf"{features}\.(\d{{1,3}})\.weight", key)
        if (
            match
            and len(tensor.shape) == 4
            and tensor.shape[2:] == (3, 3)
            and 0 not in tensor.shape
        ):
            widths[int(match[1])] = tensor.shape[:2]
    return dict(sorted(widths.items())) if 0 in widths else {}


def _stages(
    convolutions: dict[int, tuple[int, int]], step: int
) -> tuple[tuple[int, ...], ...] | None:
    """Filters of each stage; None if they are not those of a known configuration."""
    stages: list[list[int]] = []
    before: tuple[int, int] | None = None
    for position, (filters, inputs) in convolutions.items():
        if before is None or position - before[0] == step + 1:
            stages.append([])
        elif position - before[0] != step:
            return None
        if before is not None and inputs != before[1]:
            return None
        stages[-1].append(filters)
        before = position, filters
    usual = tuple(map(len, stages)) in CONFIGURATIONS.values()
    return tuple(map(tuple, stages)) if usual else None


def _head(state: State, features: str, inputs: int) -> tuple[HeadLayer, ...] | None:
    """Linear layers and BatchNorm behind the convolutions; None if their sizes do not follow."""
    names = [
        key.removesuffix(".weight")
        for key in state
        if key.endswith(".weight") and not key.startswith(features)
    ]
    if not names or len(names) > _MOST_HEAD_LAYERS or any(name.count(".") > 1 for name in names):
        return None
    # Some formats keep the order of the layers, others sort their names.
    for order in (sorted(names, key=_natural), names):
        layers = _chain(state, order, inputs)
        if layers is not None and _room_for_relu(layers):
            return layers
    return None


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d{1,9}|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _chain(state: State, names: list[str], inputs: int) -> tuple[HeadLayer, ...] | None:
    layers: list[HeadLayer] = []
    for name in names:
        shape = state[f"{name}.weight"].shape
        norm = f"{name}.running_mean" in state
        if shape[0 if norm else 1 :] != (inputs,) or 0 in shape:
            return None
        layers.append(HeadLayer(name, inputs, shape[0], norm, f"{name}.bias" in state))
        inputs = shape[0]
    return None if layers[-1].batchnorm else tuple(layers)


def _room_for_relu(layers: tuple[HeadLayer, ...]) -> bool:
    """Whether every two linear layers in one container leave a position for ReLU between them."""
    for layer, following in itertools.pairwise(layers):
        (here, _, first), (there, _, second) = (
            part.name.rpartition(".") for part in (layer, following)
        )
        listed = here == there and first.isdecimal() and second.isdecimal()
        needed = 1 if following.batchnorm or (layer is layers[0] and layer.batchnorm) else 2
        if listed and int(second) - int(first) < needed:
            return False
    return True
