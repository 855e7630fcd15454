"""Filters of next to no norm, counted alike wherever they are named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

from cwda.formatting import listed, many
from cwda.layers import ConvLayer
from cwda.numerics.ranking.live import live_filters

__all__ = ["Counted", "near_dead", "where_near_dead"]

#: Layers with near-dead filters that are named.
_NAMED = 3


class Counted(Protocol):
    """A layer with the number of its near-dead filters."""

    @property
    def layer(self) -> str: ...
    @property
    def near_dead(self) -> int: ...
    @property
    def n_filters(self) -> int: ...


def near_dead(layer: ConvLayer) -> int:
    """How many filters of a layer are near-dead, by `live_filters`.

    None where a norm is not finite or all are 0, which is no matter of single filters, and where
    the weights are not there.

    Examples
    --------
    >>> weight = torch.ones(8, 2, 3, 3)
    >>> weight[:2] = 0.001
    >>> near_dead(ConvLayer("conv", weight))
    2
    """
    weight = layer.weight.detach()
    if weight.is_meta:
        return 0
    flat = weight.reshape(layer.n_filters, -1)
    norms = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64).cpu().numpy()
    if not (norms < float("inf")).all() or not norms.any():
        return 0
    return int((~live_filters(norms)).sum())


def where_near_dead(layers: Iterable[Counted]) -> str:
    """The layers with near-dead filters, those with the largest share first; empty for none."""
    dead = sorted(
        (row for row in layers if row.near_dead), key=lambda row: -row.near_dead / row.n_filters
    )
    named = [f"{row.near_dead} of {row.n_filters} in {row.layer}" for row in dead[:_NAMED]]
    if len(dead) > _NAMED:
        named.append(f"some in {many(len(dead) - _NAMED, 'more layer')}")
    return listed(named)
