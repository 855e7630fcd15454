"""Keras files: HDF5 of versions 1 to 3, and the ``.keras`` archive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cwda.containers.hdf5_heaps import require_sound_heaps
from cwda.containers.hdf5_trial import require_readable
from cwda.containers.json_text import MAX_BYTES, parse_json
from cwda.containers.layout import Layout
from cwda.containers.mapped import MappedFile, map_file
from cwda.containers.reader import Reader
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.errors import CwdaError, SourceError
from cwda.keras_files.channels import settle_by_channels
from cwda.keras_files.configuration import Node, model_of
from cwda.keras_files.datasets import Stored, attribute_of, damaged, stored_in, top_groups
from cwda.keras_files.hdf5_arrays import arrays_of, is_keras
from cwda.keras_files.kernels import Kernel
from cwda.keras_files.layers import StoredLayer, layers_of, layout_of, settle_kinds
from cwda.keras_files.repeats import skip_repeats

__all__ = ["HDF5", "KERAS_ARCHIVE", "read_parts"]

#: The file of weights that Keras 3 writes.
_WEIGHTS = "model.weights.h5"


def _read_hdf5(file: MappedFile) -> Content:
    """Read a file in HDF5: of Keras, or with plain arrays.

    A configuration next to a file ``model.weights.h5``, as in a folder that Keras 3 saves,
    tells the classes of its layers.
    """
    sidecar = file.path.parent / "config.json"
    return read_parts([file.path], sidecar if file.path.name == _WEIGHTS else None)


def read_parts(paths: Sequence[Path], sidecar: Path | None) -> Content:
    """Read a Keras model whose weights lie in one or several files of HDF5.

    `sidecar` is where its configuration may be, if that is not in the files.
    """
    config = None
    if sidecar is not None and sidecar.is_file() and sidecar.stat().st_size <= MAX_BYTES:
        config = _model(sidecar.read_bytes())
    for path in paths:
        require_sound_heaps(map_file(path).data)
        require_readable(path)
    content = _read([(str(path), path.stat().st_size) for path in paths], config)
    if config is not None:
        note = "the classes of the layers are those of the config.json in the same folder"
        content = replace(content, assumptions=[note, *content.assumptions])
    return content


def _read_keras_archive(file: MappedFile) -> Content:
    """Read a ``.keras`` archive, in which the configuration lies next to the weights."""
    assert file.archive is not None
    archive = file.archive
    weights = next(name for name in archive.names if name.endswith(_WEIGHTS))
    root = weights.removesuffix(_WEIGHTS)
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


KERAS_ARCHIVE = Reader(
    name="Keras archive",
    library="Keras",
    suffixes=("keras",),
    recognises=lambda file: file.holds(_WEIGHTS),
    read=_read_keras_archive,
    reads={"Keras 3": "`.keras`, `.weights.h5`, shards (`.weights.json`)"},
    extra="keras",
)

HDF5 = Reader(
    name="HDF5",
    library="Keras",
    suffixes=("h5", "hdf5"),
    recognises=lambda file: file.head.startswith(b"\x89HDF\r\n\x1a\n"),
    read=_read_hdf5,
    reads={
        "Keras 1 and 2": "`.h5`",
        "HDF5 of other programs": "arrays as h5py stored them, such as a state dict, and Caffe's "
        "`.caffemodel.h5`",
    },
    extra="keras",
    by_path=True,
)
