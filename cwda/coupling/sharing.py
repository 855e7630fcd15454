"""What is known of a layer, for the others that have its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["shared"]

Value = TypeVar("Value")


def shared(model: nn.Module, values: Mapping[str, Value]) -> dict[str, Value]:
    """What is known of some convolutions, also under the names of those with the same filters.

    A parameter in several layers is read once, under one of their names.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules(remove_duplicate=False)
        if isinstance(layer, _ConvNd)
    }
    by_filters = {_filters(layers[name]): value for name, value in values.items() if name in layers}
    others = {
        name: by_filters[_filters(layer)]
        for name, layer in layers.items()
        if _filters(layer) in by_filters
    }
    return {**others, **values}


def _filters(layer: _ConvNd) -> tuple[int, bool, int]:
    """The same for layers of which the weights are one parameter, divided into the same filters."""
    weight = layer._parameters.get("weight")  # a computed one is another object each time
    return id(layer if weight is None else weight), layer.transposed, layer.groups
