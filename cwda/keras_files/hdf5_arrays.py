"""HDF5 files that no Keras wrote: plain containers of arrays, and Caffe's ``.caffemodel.h5``.

Groups are the keys of nested dictionaries, such as those of a state dict that h5py stored. The
order of the axes is not the format's affair: names, biases and the chain of layers decide it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cwda.containers.tensors import Content, NamedTensor
from cwda.keras_files.configuration import Node
from cwda.keras_files.datasets import Dataset, Stored
from cwda.keras_files.places import natural

__all__ = ["arrays_of", "is_keras"]

#: Attributes that Keras of any version writes at the top of a file or of its weights.
_ATTRIBUTES = re.compile(
    r"(keras_version|backend|model_config|training_config|nb_layers|layer_names\d*)"
)
#: Names of variables that TensorFlow counts, and those of Keras before version 1.
_VARIABLE = re.compile(r".+:\d+")
_OLDEST = re.compile(r"layer_\d+/param_\d+")
#: What Caffe's numbers of a layer's blobs mean.
_BLOBS = {"0": "weight", "1": "bias"}


def is_keras(groups: Sequence[Any], stored: Stored, model: Node | None) -> bool:
    """Whether anything in a file says that Keras wrote it."""
    if model is not None or stored.layers or stored.ranks:
        return True
    if any(_ATTRIBUTES.fullmatch(name) for group in groups for name in group.attrs):
        return True
    return any(
        _VARIABLE.fullmatch(dataset.path[-1]) or _OLDEST.fullmatch("/".join(dataset.path[-2:]))
        for dataset in stored.datasets
    )


def arrays_of(stored: Stored) -> Content:
    """All arrays of a file under their own names, with the axes as they are stored."""
    datasets = list(stored.datasets)
    paths = [dataset.path for dataset in datasets]
    if paths == sorted(paths):  # by the alphabet, in which layer 10 comes before layer 2
        datasets.sort(key=lambda dataset: [natural(part) for part in dataset.path])
    if _of_caffe(datasets):
        return Content("caffe hdf5", [_blob(dataset) for dataset in datasets], stored.skipped)
    return Content("hdf5", [_tensor(dataset) for dataset in datasets], stored.skipped)


def _tensor(dataset: Dataset) -> NamedTensor:
    *container, name = dataset.path
    if container:  # as in ``conv1/conv1_W``
        name = name.removeprefix(f"{container[-1]}_") or name
    return NamedTensor(
        name,
        dataset.shape,
        dataset.dtype,
        dataset.read,
        tuple(container),
        convention="numpy",
    )


def _of_caffe(datasets: Sequence[Dataset]) -> bool:
    """Whether these are numbered blobs by layer, under ``data`` and maybe ``diff``."""
    return bool(datasets) and all(
        len(d.path) > 2 and d.path[0] in ("data", "diff") and d.path[-1].isdecimal()
        for d in datasets
    )


def _blob(dataset: Dataset) -> NamedTensor:
    """One blob of Caffe, which stores kernels as PyTorch does."""
    kind, *layer, number = dataset.path
    name = ".".join((*layer, _BLOBS.get(number, number)))
    reason = "a gradient" if kind == "diff" else ""
    container = ("diff",) if kind == "diff" else ()
    return NamedTensor(name, dataset.shape, dataset.dtype, dataset.read, container, reason=reason)
