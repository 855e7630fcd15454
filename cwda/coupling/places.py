"""Where channels are in a model: rows and columns of layers, axes of tensors, inputs, paddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cwda.brief import brief
from cwda.coupling.layers import Use

__all__ = ["ChannelArray", "Marks", "Padding", "Read", "Site", "Slot", "kept", "site_of"]

ChannelArray = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Site:
    """A layer with weights, and the channel to which each of its rows and columns belongs.

    Attributes
    ----------
    layer : str
        Path of the layer in the model.
    kind : {"convolution", "linear", "norm", "function"}
        What it is; BatchNorm, InstanceNorm and PReLU are norms here, and a convolution by a
        layer of another class is a function.
    rows : array of int
        Channel of each output, (N',).
    columns : array of int or None
        Channel of each input, (N,); None where each output sees its own channel only, as in
        depthwise convolutions and norms.
    groups, kernel : int
        Groups of a convolution (1 if depthwise) and k^2, the positions of its kernel.
    positions : int
        How often each weight is used for the example.
    images : int
        Images of the example.
    """

    layer: str
    kind: Literal["convolution", "linear", "norm", "function"]
    rows: ChannelArray
    columns: ChannelArray | None
    groups: int
    kernel: int
    positions: int
    images: int

    def flops(self, pruned: Marks) -> int:
        """Multiply-adds for one image, without the channels marked in `pruned`."""
        rows = int((~pruned[self.rows]).sum())
        columns = 1 if self.columns is None else int((~pruned[self.columns]).sum()) // self.groups
        return rows * columns * self.kernel * self.positions // self.images


@dataclass(frozen=True, eq=False)
class Slot:
    """One axis of a parameter or buffer, and the channel to which each of its places belongs.

    Attributes
    ----------
    name : str
        Path of the parameter; of one that several layers share, the first.
    axis : int
        Which axis.
    channels : array of int
        Channel of each place.
    zeroed : bool
        Whether masks zero it, as rows of weights; columns are only cut.
    """

    name: str
    axis: int
    channels: ChannelArray
    zeroed: bool

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Read:
    """Where a layer reads channels.

    Attributes
    ----------
    node : str
        Name of the graph's node that applies the layer.
    layer : str
        Path of the layer.
    axis : int
        Axis of the channels in what it is given.
    channels : array of int
        The channel of each place on that axis.
    """

    node: str
    layer: str
    axis: int
    channels: ChannelArray

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class Padding:
    """An operation of the graph that adds channels of zeros.

    Attributes
    ----------
    node : str
        Name of its node.
    channels : array of int
        Channels of its result, the added ones first and last.
    before, after : int
        How many are added before and after the others.
    owner : str
        Path of the layer in whose forward pass it stands.
    place : int
        How many paddings of channel axes come before it there.
    """

    node: str
    channels: ChannelArray
    before: int
    after: int
    owner: str
    place: int


def kept(channels: ChannelArray, marked: Marks) -> Tensor:
    """The places of an axis, given by their channels, that stay when the marked ones go."""
    return torch.from_numpy(np.flatnonzero(~marked[channels]))


def site_of(
    layer: str,
    use: Use,
    model: nn.Module,
    numbers: Callable[[Tensor], ChannelArray],
    images: int,
) -> Site:
    """The site of a layer, with its channels numbered anew."""
    kind: Literal["convolution", "linear", "norm", "function"] = "norm"
    module = dict(model.named_modules()).get(layer)
    if use.kind == "convolution":
        kind = "convolution" if isinstance(module, _ConvNd) else "function"
    elif use.kind == "linear":
        kind = "linear" if isinstance(module, nn.Linear) else "function"
    columns = None if use.columns is None else numbers(use.columns)
    rows = numbers(use.rows)
    return Site(layer, kind, rows, columns, use.groups, use.kernel, use.positions, images)
