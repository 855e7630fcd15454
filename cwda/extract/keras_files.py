"""Keras files: HDF5 of versions 1 to 3, and the ``.keras`` archive."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cwda.errors import SourceError, UnreadableError
from cwda.extract.archives import Archive
from cwda.extract.json_text import parse_json
from cwda.extract.keras_config import Node, model_of
from cwda.extract.keras_datasets import Dataset, Stored, damaged, list_attribute, stored_in, text
from cwda.extract.keras_guess import only_as_transposed
from cwda.extract.keras_kernels import Kernel, Variable, kernels_of
from cwda.extract.keras_layout import Layout, keras1_ordering
from cwda.extract.keras_places import Attributes, Names, Place, natural
from cwda.extract.tensors import Content, NamedTensor, printable

__all__ = ["read_hdf5", "read_keras_archive"]

#: Groups that hold no weights of the model.
_BESIDE = re.compile(r"(\w+_)?optimizer(_weights)?|(\w+_)?metrics|\w*loss_tracker")


@dataclass(eq=False)
class _Layer:
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


def read_hdf5(path: Path) -> Content:
    """Read a Keras file in HDF5.

    A configuration beside a file ``model.weights.h5``, as in a folder that Keras 3 saves,
    tells the classes of its layers.
    """
    beside = path.parent / "config.json"
    config = None
    if path.name == "model.weights.h5" and beside.is_file():
        config = _model(beside.read_bytes())
    content = _read(str(path), path.stat().st_size, config)
    if config is not None:
        note = "the layers' classes are those of the config.json in the same folder"
        content = replace(content, assumptions=[note, *content.assumptions])
    return content


def read_keras_archive(archive: Archive) -> Content:
    """Read a ``.keras`` archive, in which the configuration lies beside the weights."""
    weights = next(name for name in archive.names if name.endswith("model.weights.h5"))
    root = weights.removesuffix("model.weights.h5")
    config = archive.read(f"{root}config.json") if f"{root}config.json" in archive else None
    data = archive.read(weights)
    model = _model(config) if config is not None else None
    return replace(_read(io.BytesIO(data), len(data), model), format="keras")


def _model(config: bytes) -> Node | None:
    """The model that a configuration describes; None if it is damaged."""
    try:
        return model_of(parse_json(config))
    except (ValueError, RecursionError):
        return None


def _read(source: Any, size: int, model: Node | None) -> Content:
    try:
        import h5py
    except ImportError:
        raise SourceError('Keras files need h5py: pip install "cwda[keras]"') from None
    try:
        root = h5py.File(source, "r")
        if model is None and "model_config" in root.attrs:
            model = _model(text(root.attrs["model_config"]).encode())
        stored = stored_in(root, size)
        layers = _layers(root, stored, model)
        layout, assumptions = _layout(root, layers, model)
        _kinds(layers, layout)
        tensors = [tensor for layer in layers for tensor in _tensors(layer, layout)]
        return Content("keras hdf5", tensors, stored.skipped, assumptions)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(error) from None


def _layers(root: Any, stored: Stored, model: Node | None) -> list[_Layer]:
    """The layers of the file in the model's order."""
    weights = root.get("model_weights")
    names = list_attribute(root, "layer_names")
    names = names or ([] if weights is None else list_attribute(weights, "layer_names"))
    ranks: dict[tuple[str, ...], int] = {}
    for path, rank in stored.ranks.items():
        ranks.setdefault(_without_root(path[:-1]), rank)
    by_attribute = Attributes(model, stored.layers, stored.layers)
    by_name = Names(model, names, ranks)
    found: dict[tuple[str, ...], _Layer] = {}
    for dataset in stored.datasets:
        path, leaf = dataset.path[:-1], dataset.path[-1].partition(":")[0]
        if path not in found:
            in_vars = path[-1:] == ("vars",)
            place = by_attribute.place(path[:-1]) if in_vars else by_name.place(_without_root(path))
            found[path] = _Layer(path, place)
        found[path].datasets.append(dataset)
        found[path].leaves.append(_leaf(leaf, dataset.path))
    layers = sorted(found.values(), key=lambda layer: layer.place.order)
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


def _sort_variables(layer: _Layer) -> None:
    """Numbers in their order: 2 before 10."""
    pairs = sorted(zip(layer.leaves, layer.datasets, strict=True), key=lambda p: natural(p[0]))
    layer.leaves = [leaf for leaf, _ in pairs]
    layer.datasets = [dataset for _, dataset in pairs]


def _distinct(layers: list[_Layer]) -> list[_Layer]:
    """Layers whose names would be the same get their whole paths."""
    count = Counter(layer.place.names for layer in layers)
    for layer in layers:
        if count[layer.place.names] > 1:
            names = tuple(part for part in _without_root(layer.path) if part != "vars")
            layer.place = replace(layer.place, names=names)
    return layers


def _layout(root: Any, layers: list[_Layer], model: Node | None) -> tuple[Layout, list[str]]:
    """How an ordinary kernel of the file is stored, and what was assumed about it."""
    version = ""
    for group in (root, root.get("model_weights")):
        if group is not None:
            version = version or text(group.attrs.get("keras_version", ""))
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


def _kinds(layers: list[_Layer], layout: Layout) -> None:
    """Settle what every variable of three axes or more is."""
    for layer in layers:
        if not any(_BESIDE.fullmatch(part) for part in layer.path[:1]):
            layer.kernels = kernels_of(layer.place, layer.variables(layout))
    if not layout.first:
        _settle_by_channels(layers)


def _settle_by_channels(layers: Iterable[_Layer]) -> None:
    """Take a kernel for transposed where only so its channels fit the other layers'."""
    inputs, outputs = Counter[int](), Counter[int]()
    unclear: list[tuple[_Layer, int, tuple[int, ...]]] = []
    for layer in layers:
        for index, variable in enumerate(layer.variables(Layout())):
            kernel = layer.kernels.get(index)
            if len(variable.shape) == 2 and index == 0:
                inputs[variable.shape[0]] += 1
            if kernel is None or not kernel.role:
                continue
            first, last = variable.shape[-2:]
            turned = kernel.role == "transposed"
            inputs[last if turned else first] += 1
            outputs[first * last if kernel.role == "depthwise" else first if turned else last] += 1
            if kernel.open and first != last:
                unclear.append((layer, index, variable.shape))
    for layer, index, shape in unclear:
        one = Counter([shape[-2]]), Counter([shape[-1]])
        if only_as_transposed(shape, inputs - one[0], outputs - one[1]):
            note = "taken for transposed, because only so its channels fit the other layers'"
            kernel = replace(layer.kernels[index], role="transposed", groups=1, assumption=note)
            layer.kernels[index] = replace(kernel, open=False)


def _tensors(layer: _Layer, layout: Layout) -> Iterator[NamedTensor]:
    for index, dataset in enumerate(layer.datasets):
        kernel = layer.kernels.get(index)
        leaf = layer.leaves[index] if kernel is None else kernel.leaf
        tensor = NamedTensor(
            printable(".".join((*layer.place.names, leaf))),
            dataset.shape,
            dataset.dtype,
            dataset.read,
            origin=layer.place.kind,
        )
        if kernel is None:
            yield tensor
        elif not kernel.role:
            yield replace(tensor, is_conv=False, reason=kernel.reason)
        else:
            yield _turned(tensor, kernel, layout)


def _turned(tensor: NamedTensor, kernel: Kernel, layout: Layout) -> NamedTensor:
    """A convolution's kernel in PyTorch's layout."""
    own = replace(
        layout, depthwise=kernel.role == "depthwise", transposed=kernel.role == "transposed"
    )
    whole = tensor.dtype is not None and not tensor.dtype.is_floating_point
    elements = str(tensor.dtype).removeprefix("torch.")
    return replace(
        tensor,
        shape=own.shape(tensor.shape),
        read=lambda: own.turn(tensor.read()),
        is_conv=True,
        groups=kernel.groups,
        transposed=None if kernel.open else own.transposed,
        reason=f"quantised to {elements}; give the model before that" if whole else "",
        assumption=kernel.assumption,
    )
