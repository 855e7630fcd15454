"""The channels of a network numbered from 0, once all ties are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from cwda.brief import brief
from cwda.coupling.places import ChannelArray, Padding, Read, Site, Slot, site_of
from cwda.coupling.propagation import Propagation

__all__ = ["Numbered", "numbered"]


@dataclass(frozen=True, eq=False)
class Numbered:
    """What a propagation found, by channels from 0 to n_channels - 1."""

    sites: tuple[Site, ...]
    slots: tuple[Slot, ...]
    reads: tuple[Read, ...]
    paddings: tuple[Padding, ...]
    fixed: Mapping[int, str]
    n_channels: int

    __repr__ = brief


def numbered(run: Propagation, model: nn.Module, images: int) -> Numbered:
    """The layers, parameters and readings of a propagation of some images through a model."""
    numbering: dict[int, int] = {}

    def numbers(tied: Tensor) -> ChannelArray:
        united = [run.channels.find(number) for number in tied.abs().tolist()]
        return np.array(
            [numbering.setdefault(channel, len(numbering)) for channel in united], np.int64
        )

    layers = run.layers
    sites = tuple(site_of(layer, use, model, numbers, images) for layer, use in layers.uses.items())
    slots = tuple(
        Slot(name, axis, numbers(held.numbers), held.zeroed)
        for (name, axis), held in layers.held.items()
    )
    reads = tuple(
        Read(each.node, each.layer, each.axis, numbers(each.numbers)) for each in layers.readings
    )
    paddings = tuple(
        Padding(node, numbers(tied), before, after, *run.places.places[node])
        for node, (tied, before, after) in run.paddings.items()
    )
    fixed: dict[int, str] = {}
    for number, reason in run.channels.reasons():
        if number in numbering:
            fixed.setdefault(numbering[number], reason)
    if 0 in numbering:
        fixed[numbering[0]] = "it is a constant"
    return Numbered(sites, slots, reads, paddings, fixed, len(numbering))
