"""Sparse convolutions of MinkowskiEngine and torchsparse: kernels of one axis of positions.

They keep (positions, inputs, outputs), but a kernel of one position without its axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor

__all__ = ["with_positions"]


def with_positions(tensors: Sequence[NamedTensor]) -> list[NamedTensor]:
    """Give kernels of one position in a sparse network their axis."""
    kernels = [tensor for tensor in tensors if split_leaf(tensor.name)[1] == "kernel"]
    # Other libraries that write "kernel" call the vectors of a normalisation "scale" or "gamma".
    pytorch = any(split_leaf(tensor.name)[1] == "running_mean" for tensor in tensors)
    if not pytorch or {len(tensor.shape) for tensor in kernels} != {2, 3}:
        return list(tensors)
    flat = {id(tensor) for tensor in kernels if len(tensor.shape) == 2}
    return [_with_axis(tensor) if id(tensor) in flat else tensor for tensor in tensors]


def _with_axis(tensor: NamedTensor) -> NamedTensor:
    return replace(tensor, shape=(1, *tensor.shape), read=lambda: tensor.read().unsqueeze(0))
