"""Layers that a Keras file stores several times, because several models share them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cwda.keras_files.datasets import Dataset
from cwda.keras_files.layers import StoredLayer

__all__ = ["skip_repeats"]


def skip_repeats(layers: Iterable[StoredLayer], budget: int) -> None:
    """Keep the first of layers with the same own name, shapes and values.

    Files of HDF5 keep the weights of each layer of the model, so those of a layer that
    stands in an inner model as well are written twice. At most `budget` bytes are compared.
    """
    first: dict[tuple[object, ...], StoredLayer] = {}
    for layer in layers:
        if not layer.kernels or not layer.place.names:
            continue
        shapes = tuple(dataset.shape for dataset in layer.datasets)
        key = (layer.place.names[-1], layer.place.kind, shapes)
        other = first.setdefault(key, layer)
        if other is layer:
            continue
        budget -= 2 * sum(dataset.data.nbytes for dataset in layer.datasets)
        if budget < 0:
            return
        if all(map(_equal, layer.datasets, other.datasets)):
            reason = f"the layer {'.'.join(other.place.names)} stored again"
            layer.kernels = {
                index: replace(kernel, role="", reason=kernel.reason or reason)
                for index, kernel in layer.kernels.items()
            }


def _equal(one: Dataset, other: Dataset) -> bool:
    return one.dtype == other.dtype and bool((one.read() == other.read()).all())
