"""The layers of a Keras file in the model's order, and what their variables are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cwda.containers.layout import Layout
from cwda.keras_files.configuration import Node
from cwda.keras_files.datasets import Dataset, Stored, attribute_of, list_attribute
from cwda.keras_files.kernels import Kernel, Variable, kernels_of
from cwda.keras_files.ordering import keras1_ordering
from cwda.keras_files.places import Attributes, Names, Place, natural

__all__ = ["StoredLayer", "layers_of", "layout_of", "settle_kinds"]

#: Groups that hold no weights of the model.
_BESIDE = re.compile(r"(\w+_)?optimizer(_weights)?|(\w+_)?metrics|\w*loss_tracker")


@dataclass(eq=False)
class StoredLayer:
    """A layer of the file: its place in the model and its variables, in order."""

    path: tuple[str, ...]
    place: Place
    datasets: list[Dataset] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    kernels: dict[int, Kernel] = field(default_factory=dict)

    def variables(self, layout: Layout) -> list[Variable]:
        """Its variables with the channels last."""
        pairs = zip(self.leaves, self.datasets, strict=True)
        shapes = [(leaf, dataset.shape) for leaf, dataset in pairs]
        return [
            Variable(leaf, layout.channels_last(shape) if len(shape) >= 3 else shape)
            for leaf, shape in shapes
        ]


def layers_of(groups: Sequence[Any], stored: Stored, model: Node | None) -> list[StoredLayer]:
    """The layers of a file in the model's order.

    `groups` are those at its top that may state the layers' names.
    """
    names = next(filter(None, (list_attribute(group, "layer_names") for group in groups)), [])
    ranks: dict[tuple[str, ...], int] = {}
    for path, rank in stored.ranks.items():
        ranks.setdefault(_without_root(path[:-1]), rank)
    by_attribute = Attributes(model, stored.layers, stored.layers)
    by_name = Names(model, names, ranks)
    by_path: dict[tuple[str, ...], StoredLayer] = {}
    for dataset in stored.datasets:
        path, leaf = dataset.path[:-1], dataset.path[-1].partition(":")[0]
        if path not in by_path:
            in_vars = path[-1:] == ("vars",) and path[:-1] in stored.layers
            place = by_attribute.place(path[:-1]) if in_vars else by_name.place(_without_root(path))
            by_path[path] = StoredLayer(path, place)
        by_path[path].datasets.append(dataset)
        by_path[path].leaves.append(_leaf(leaf, dataset.path))
    layers = sorted(by_path.values(), key=lambda layer: layer.place.order)
    for layer in layers:
        _sort_variables(layer)
    return _distinct(layers)


def _without_root(path: tuple[str, ...]) -> tuple[str, ...]:
    return path[1:] if path[:1] == ("model_weights",) else path


def _leaf(leaf: str, path: tuple[str, ...]) -> str:
    """A variable's name in its layer, without what Keras 1 and earlier put before it."""
    if len(leaf) > 2 and leaf[-2:] in ("_W", "_b") and len(path) > 1:
        return leaf[-1]
    return {"param_0": "W", "param_1": "b"}.get(leaf, leaf)


def _sort_variables(layer: StoredLayer) -> None:
    """Numbers in their order: 2 before 10."""
    pairs = sorted(zip(layer.leaves, layer.datasets, strict=True), key=lambda p: natural(p[0]))
    layer.leaves = [leaf for leaf, _ in pairs]
    layer.datasets = [dataset for _, dataset in pairs]


def _distinct(layers: list[StoredLayer]) -> list[StoredLayer]:
    """Layers whose names would be the same get their whole paths."""
    count = Counter(layer.place.names for layer in layers)
    for layer in layers:
        if count[layer.place.names] > 1:
            names = tuple(part for part in _without_root(layer.path) if part != "vars")
            layer.place = replace(layer.place, names=names)
    return layers


def layout_of(
    groups: Sequence[Any], layers: list[StoredLayer], model: Node | None
) -> tuple[Layout, list[str]]:
    """How an ordinary kernel of the file is stored, and what was assumed about it."""
    version = next(filter(None, (attribute_of(group, "keras_version") for group in groups)), "")
    old = [layer for layer in layers if "W" in layer.leaves]
    if not old and not version.startswith("1."):
        return Layout(), []
    kernels = []
    for layer in old:
        sizes = dict(zip(layer.leaves, (d.shape for d in layer.datasets), strict=True))
        bias = sizes.get("b", ())
        if len(sizes["W"]) >= 4:
            kernels.append((sizes["W"], bias[0] if len(bias) == 1 else None))
    nodes = model.inner.values() if model is not None else ()
    stated = (node.config.get("dim_ordering") for node in nodes)
    order, why = keras1_ordering(next((s for s in stated if s in ("th", "tf")), None), kernels)
    axes = "O, I, H, W" if order == "th" else "H, W, I, O"
    return Layout(order, first=True), [f"kernels of Keras 1 are stored {axes}: {why}"]


def settle_kinds(layers: list[StoredLayer], layout: Layout) -> None:
    """Settle what every variable of three axes or more is."""
    for layer in layers:
        if not any(_BESIDE.fullmatch(part) for part in layer.path[:1]):
            layer.kernels = kernels_of(layer.place, layer.variables(layout))
