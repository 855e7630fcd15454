"""The channels of a model, what carries them, and which filters are tied.

A *channel* is the smallest unit that can be removed: filters whose outputs meet in an addition
or a product, and the depthwise filters that follow them, are one channel.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cwda.coupling.places import ChannelArray, Marks, Padding, Read, Site, Slot
from cwda.errors import PlanError
from cwda.tracing.cost import Cost

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Coupling"]


@dataclass(frozen=True, eq=False)
class Coupling:
    """The channels of a model and what carries them.

    Attributes
    ----------
    network : str
        Name of the model.
    sites : tuple of Site
        All layers with weights, in the order in which they compute.
    n_channels : int
        Channels are numbered from 0 to n_channels - 1.
    fixed : dict of int to str
        Channels that cannot be pruned, and why.
    paddings : tuple of Padding
        Operations that add channels of zeros, such as the shortcuts of CIFAR ResNets.
    cost : Cost
        Of the whole model.
    slots : tuple of Slot
        The axes of parameters and buffers that belong to channels.
    reads : tuple of Read
        Where layers read channels.
    unfollowed : dict of str to str
        Convolutions that the graph does not show as layers, and why.
    shapes : dict of str to tuple of int
        The shape of each parameter.
    example : Tensor
        The input given.
    followed : int
        The images of it that were followed: one, or all where what the network computes
        depends on their number.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.coupling import couple
    >>> coupling = couple(cifar_resnet(20), (1, 3, 32, 32))
    >>> first, later = coupling.filters["conv1"], coupling.filters["layer2.0.conv2"]
    >>> bool((first == later[8:24]).all())  # the shortcut pads 8 zeros before and after
    True
    >>> len(coupling.groups)
    10
    """

    network: str
    sites: tuple[Site, ...]
    n_channels: int
    fixed: Mapping[int, str]
    paddings: tuple[Padding, ...]
    cost: Cost
    slots: tuple[Slot, ...]
    reads: tuple[Read, ...]
    unfollowed: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    example: Tensor
    followed: int

    @cached_property
    def filters(self) -> dict[str, ChannelArray]:
        """For each convolution the channel of each of its filters."""
        return {site.layer: site.rows for site in self.sites if site.kind == "convolution"}

    @cached_property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Convolutions that share channels, directly or through others; singles included."""
        groups: list[tuple[set[int], list[str]]] = []
        for layer, rows in self.filters.items():
            channels = set(rows.tolist())
            tied = [group for group in groups if not group[0].isdisjoint(channels)]
            groups = [group for group in groups if group[0].isdisjoint(channels)]
            members = [name for _, names in tied for name in names]
            groups.append((channels.union(*(others for others, _ in tied)), [*members, layer]))
        order = {layer: place for place, layer in enumerate(self.filters)}
        named = (tuple(sorted(names, key=order.__getitem__)) for _, names in groups)
        return tuple(sorted(named, key=lambda names: order[names[0]]))

    def reason(self, layer: str) -> str:
        """Why no filter of a layer can be pruned; empty if some can."""
        reasons = [self.fixed.get(channel, "") for channel in self._rows(layer).tolist()]
        return reasons[0] if all(reasons) else ""

    def untied(self) -> Coupling:
        """The same, with the channels fixed that several convolutions share.

        What is then pruned are, in a ResNet, the inner filters of each block.
        """
        tied = {
            int(channel): "tied to filters of other layers"
            for group in self.groups
            if len(group) > 1
            for layer in group
            for channel in self.filters[layer]
        }
        return replace(self, fixed={**tied, **self.fixed})

    def without(self, pruned: Marks) -> Cost:
        """The cost once the channels marked are removed, counted anew over all layers."""
        none = np.zeros(self.n_channels, dtype=bool)
        flops = sum(site.flops(none) - site.flops(pruned) for site in self.sites)
        left: dict[str, list[int]] = {}
        for slot in self.slots:
            if slot.name in self.shapes:
                sizes = left.setdefault(slot.name, [*self.shapes[slot.name]])
                sizes[slot.axis] = int((~pruned[slot.channels]).sum())
        parameters = sum(
            math.prod(self.shapes[name]) - math.prod(sizes) for name, sizes in left.items()
        )
        return Cost(self.cost.parameters - parameters, self.cost.flops - flops)

    def channels(self, pruned: Mapping[str, Iterable[int]]) -> npt.NDArray[np.bool_]:
        """Mark the channels of pruned filters.

        Raises
        ------
        PlanError
            If a layer or filter is not in the model, a filter cannot be pruned, or one is
            pruned without those tied to it.
        """
        marked = np.zeros(self.n_channels, dtype=bool)
        for layer, indices in pruned.items():
            rows = self._rows(layer)
            for index in indices:
                if not 0 <= index < len(rows):
                    raise PlanError(f"{layer} has {len(rows)} filters; there is no {index}")
                if reason := self.fixed.get(int(rows[index])):
                    raise PlanError(f"filter {index} of {layer} cannot be pruned: {reason}")
                marked[rows[index]] = True
        self._check_ties(pruned, marked)
        return marked

    def _check_ties(
        self, pruned: Mapping[str, Iterable[int]], marked: npt.NDArray[np.bool_]
    ) -> None:
        for layer, rows in self.filters.items():
            missing = set(np.flatnonzero(marked[rows]).tolist()) - set(pruned.get(layer, ()))
            if missing:
                raise PlanError(
                    f"the plan keeps filter {min(missing)} of {layer}, which is tied to a pruned "
                    "one; make_plan(model, ...) prunes tied filters together"
                )

    def _rows(self, layer: str) -> ChannelArray:
        try:
            return self.filters[layer]
        except KeyError:
            raise PlanError(f"{self.network} has no convolution {layer!r}") from None

    @property
    def table(self) -> pd.DataFrame:
        """One row per convolution: ``layer, n_filters, group, tied_to, prunable, reason``.

        `prunable` counts the filters that can be pruned; `reason` is that of the first that
        cannot.
        """
        import pandas as pd

        groups = {name: (i, group) for i, group in enumerate(self.groups) for name in group}
        rows = []
        for layer, channels in self.filters.items():
            reasons = [self.fixed[c] for c in channels.tolist() if c in self.fixed]
            number, group = groups[layer]
            rows.append(
                {
                    "layer": layer,
                    "n_filters": len(channels),
                    "group": number,
                    "tied_to": ", ".join(name for name in group if name != layer),
                    "prunable": len(channels) - len(reasons),
                    "reason": reasons[0] if reasons else "",
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        tied = sum(len(group) > 1 for group in self.groups)
        return (
            f"Coupling({self.network!r}, {len(self.filters)} convolutions in "
            f"{len(self.groups)} groups, {tied} of them of several)"
        )

    def _repr_html_(self) -> str:
        shown: str = self.table.to_html(index=False, border=0)
        return f"<p>{html.escape(repr(self))}</p>{shown}"
