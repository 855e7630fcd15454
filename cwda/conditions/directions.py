"""Unit directions: filters divided by their root mean square, and what a test of them is worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cwda.layers import ConvLayer

if TYPE_CHECKING:
    from cwda.conditions.workspace import Workspace

__all__ = ["AS_RAW", "FREE_SCALE", "Directions", "directions_of"]


#: What must be said where a network with BatchNorm is judged by its weights as they are.
FREE_SCALE = (
    "BatchNorm leaves the scale of filters free; homogeneity and gaussianity depend on it most"
)


def _valid(work: Workspace) -> str:
    return ""


@dataclass(frozen=True)
class Directions:
    """What becomes of a condition where each filter is divided by its root mean square.

    Attributes
    ----------
    inapplicable : str
        Why the condition then says nothing; empty where it does.
    withheld : callable
        From the `Workspace` of the unit directions to the reason why the p-value is not valid
        there, or "".
    """

    inapplicable: str = ""
    withheld: Callable[[Workspace], str] = _valid


#: The division leaves the null hypothesis as it is.
AS_RAW = Directions()


def directions_of(layer: ConvLayer) -> tuple[ConvLayer, int]:
    """The layer with filters of root mean square 1, float64, and how many filters have none.

    A filter of norm 0 has no direction and is left out. Every other filter counts in full,
    however small: behind BatchNorm it computes as much as a large one. Where no filter has a
    direction the layer comes back as it is, and so it does where weights are not finite.

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([3.0, 4.0, 0.0, 0.0]).reshape(2, 1, 2)
    >>> layer, left_out = directions_of(ConvLayer("conv", weight))
    >>> layer.weight.flatten().round(decimals=6).tolist(), left_out
    ([0.848528, 1.131371], 1)
    """
    weight = layer.weight.detach()
    if not weight.is_floating_point() or not layer.n_weights:
        return layer, 0
    filters = weight.reshape(layer.n_filters, layer.dim).double()
    largest = filters.abs().amax(dim=1, keepdim=True)
    alive = largest[:, 0] > 0
    if not bool(torch.isfinite(largest).all()) or not bool(alive.any()):
        return layer, 0
    # Divided by the largest weight first: squares of tiny and of huge weights leave float64.
    units = _unit(filters[alive] / largest[alive])
    return (
        replace(layer, weight=units.reshape(-1, *weight.shape[1:])),
        int((~alive).sum()),
    )


def _unit(filters: Tensor) -> Tensor:
    norms = torch.linalg.vector_norm(filters, dim=1, keepdim=True)
    units: Tensor = filters / (norms / math.sqrt(filters.shape[1]))
    return units
