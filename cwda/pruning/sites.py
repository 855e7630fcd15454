"""The layers of a model with weights, and the channel of each of their rows and columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cwda.pruning.cost import Cost
from cwda.pruning.propagation import Use

__all__ = ["ChannelArray", "Padding", "Site", "site_of"]

ChannelArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Site:
    """A layer with weights, and the channel to which each of its rows and columns belongs.

    Attributes
    ----------
    layer : str
        Path of the layer in the model.
    kind : {"convolution", "linear", "norm"}
        What it is; BatchNorm, InstanceNorm and PReLU are norms here.
    rows : array of int
        Channel of each output, (N',).
    columns : array of int or None
        Channel of each input, (N,); None where each output sees its own channel only, as in
        depthwise convolutions and norms.
    groups, kernel : int
        Groups of a convolution (1 if depthwise) and k^2, the positions of its kernel.
    extra : int
        Parameters of each output beside k^2 a column: bias, scale and shift.
    positions : int
        How often each weight is used for one image.
    """

    layer: str
    kind: Literal["convolution", "linear", "norm"]
    rows: ChannelArray
    columns: ChannelArray | None
    groups: int
    kernel: int
    extra: int
    positions: int

    def cost(self, pruned: npt.NDArray[np.bool_]) -> Cost:
        """Parameters and multiply-adds without the channels marked in `pruned`."""
        rows = int((~pruned[self.rows]).sum())
        columns = 1 if self.columns is None else int((~pruned[self.columns]).sum()) // self.groups
        weights = rows * columns * self.kernel
        return Cost(weights + rows * self.extra, weights * self.positions)


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
    place : int
        Where the amounts for the channel axis stand in the argument of the operation.
    """

    node: str
    channels: ChannelArray
    before: int
    after: int
    place: int


def site_of(layer: str, use: Use, numbers: Callable[[Tensor], ChannelArray]) -> Site:
    """The site of a layer, with its channels numbered anew."""
    module, rows = use.module, numbers(use.rows)
    columns = None if use.columns is None else numbers(use.columns)
    parameters = sum(each.numel() for each in module.parameters(recurse=False))
    if isinstance(module, _ConvNd):
        kernel = math.prod(module.kernel_size)
        groups = 1 if columns is None else module.groups
        extra = 0 if module.bias is None else 1
        return Site(layer, "convolution", rows, columns, groups, kernel, extra, use.positions)
    if isinstance(module, nn.Linear):
        extra = 0 if module.bias is None else 1
        return Site(layer, "linear", rows, columns, 1, 1, extra, use.positions)
    return Site(layer, "norm", rows, None, 1, 0, parameters // len(rows), 0)
