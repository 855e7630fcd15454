"""Keras files: HDF5 of versions 1 to 3, and the ``.keras`` archive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cwda.containers.archives import Archive
from cwda.containers.hdf5_heaps import require_sound_heaps
from cwda.containers.hdf5_trial import require_readable
from cwda.containers.json_text import MAX_BYTES, parse_json
from cwda.containers.mapped import map_file
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.errors import CwdaError, SourceError
from cwda.keras_files.channels import settle_by_channels
from cwda.keras_files.configuration import Node, model_of
from cwda.keras_files.datasets import Stored, attribute_of, damaged, stored_in, top_groups
from cwda.keras_files.hdf5_arrays import arrays_of, is_keras
from cwda.keras_files.kernels import Kernel
from cwda.keras_files.layers import StoredLayer, layers_of, layout_of, settle_kinds
from cwda.keras_files.layout import Layout
from cwda.keras_files.repeats import skip_repeats

__all__ = ["read_hdf5", "read_keras_archive", "read_parts"]


def read_hdf5(path: Path) -> Content:
    """Read a file in HDF5: of Keras, or with plain arrays.

    A configuration beside a file ``model.weights.h5``, as in a folder that Keras 3 saves,
    tells the classes of its layers.
    """
    beside = path.parent / "config.json"
    return read_parts([path], beside if path.name == "model.weights.h5" else None)


def read_parts(paths: Sequence[Path], beside: Path | None) -> Content:
    """Read a Keras model whose weights lie in one or several files of HDF5.

    `beside` is where its configuration may be, if that is not in the files.
    """
    config = None
    if beside is not None and beside.is_file() and beside.stat().st_size <= MAX_BYTES:
        config = _model(beside.read_bytes())
    for path in paths:
        require_sound_heaps(map_file(path).data)
        require_readable(path)
    content = _read([(str(path), path.stat().st_size) for path in paths], config)
    if config is not None:
        note = "the classes of the layers are those of the config.json in the same folder"
        content = replace(content, assumptions=[note, *content.assumptions])
    return content


def read_keras_archive(archive: Archive) -> Content:
    """Read a ``.keras`` archive, in which the configuration lies beside the weights."""
    weights = next(name for name in archive.names if name.endswith("model.weights.h5"))
    root = weights.removesuffix("model.weights.h5")
    config = archive.read(f"{root}config.json") if f"{root}config.json" in archive else None
    data = archive.read(weights)
    require_sound_heaps(data)
    require_readable(data)
    model = _model(config) if config is not None else None
    return replace(_read([(io.BytesIO(data), len(data))], model), format="keras")


def _model(config: bytes) -> Node | None:
    """The model that a configuration describes; None if it is damaged."""
    try:
        return model_of(parse_json(config))
    except (ValueError, RecursionError):
        return None


def _read(sources: Sequence[tuple[Any, int]], model: Node | None) -> Content:
    try:
        import h5py
    except ImportError:
        raise SourceError('Keras files need h5py: pip install "cwda[keras]"') from None
    try:
        roots = [h5py.File(source, "r") for source, _ in sources]
        groups = [group for root in roots for group in top_groups(root)]
        stored = Stored()
        for root, (_, size) in zip(roots, sources, strict=True):
            stored_in(root, size, stored)
        for root in roots:
            model = model or _model(attribute_of(root, "model_config").encode())
        if not is_keras(groups, stored, model):
            return arrays_of(stored)
        layers = layers_of(groups, stored, model)
        layout, assumptions = layout_of(groups, layers, model)
        settle_kinds(layers, layout)
        settle_by_channels(layers, layout)
        skip_repeats(layers, 4 * sum(size for _, size in sources))
        tensors = [tensor for layer in layers for tensor in _tensors(layer, layout)]
        return Content("keras hdf5", tensors, stored.skipped, assumptions)
    except CwdaError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(error) from None


def _tensors(layer: StoredLayer, layout: Layout) -> Iterator[NamedTensor]:
    for index, dataset in enumerate(layer.datasets):
        kernel = layer.kernels.get(index)
        leaf = layer.leaves[index] if kernel is None else kernel.leaf
        tensor = NamedTensor(
            printable(".".join((*(layer.place.names or layer.path), leaf))),
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
    transposed = None if kernel.open else own.transposed
    whole = tensor.dtype is not None and not tensor.dtype.is_floating_point
    elements = str(tensor.dtype).removeprefix("torch.")
    return replace(
        tensor,
        shape=own.shape(tensor.shape),
        read=lambda: own.turn(tensor.read()),
        is_conv=True,
        groups=kernel.groups,
        transposed=transposed,
        reason=f"quantised to {elements}; give the model before that" if whole else "",
        assumption=kernel.assumption,
        stored=replace(tensor, is_conv=True, groups=kernel.groups, transposed=transposed),
    )
