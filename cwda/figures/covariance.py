"""F F^T of a layer, its blocks, and one filter (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes

from cwda.arguments import as_indices
from cwda.errors import CwdaError
from cwda.figures.drawing.heat import colour_bar
from cwda.figures.drawing.style import (
    DIVERGING,
    LINES,
    SEQUENTIAL,
    Margins,
    canvas,
    say,
    set_title,
    size_in_points,
)
from cwda.layers import ConvLayer
from cwda.loading.sources import Source, layer_of
from cwda.numerics.device import resolve_device
from cwda.numerics.normality.energy_image import energy_image
from cwda.scoring import Filters

__all__ = ["cell_size", "covariance", "covariance_blocks", "filter_image"]

#: Pixels along one side of the picture of F F^T, at most.
PIXELS = 576

_BAR = 21.0
# Distance of grid lines, in points, below which they hide what they divide.
_CLOSEST = 4.0


def covariance(
    layer: Source, ax: Axes | None = None, *, device: str | torch.device = "auto"
) -> Axes:
    """Picture of F F^T / N', the second moments of the weights (paper, figure 2a).

    The unit is the mean of the diagonal, so that under CWDA with equal variances the diagonal is 1,
    the blocks are of size epsilon, and sampling alone gives 1 / sqrt(N') elsewhere. Up to
    d = 576 each element is one pixel, its absolute value. Above, one pixel is the root mean
    square of a square of elements, of part of a block or of whole blocks, made from tiles:
    the d x d matrix is never held. Values above the median of the diagonal are shown as it.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    ax : Axes, optional
        Where to draw; a new figure of 100 mm by default.
    device : str or torch.device
        Where to compute, in float64.

    Raises
    ------
    SourceError, WeightsError
        If it is no layer, or its weights are not finite.

    References
    ----------
    Huang et al. (2021), figure 2.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import covariance
    >>> ax = covariance(cwda.load("resnet20-cifar10")["layer1.0.conv1"])
    >>> ax.get_images()[0].get_array().shape
    (144, 144)
    """
    layer = layer_of(layer)
    filters = Filters.of(layer, resolve_device(device)).values
    energy = float(filters.square().mean())
    cell = cell_size(layer)
    with canvas(ax, 104, 89, Margins(12, _BAR, 10, 8)) as ax:
        if energy == 0:
            return say(ax, f"All weights of {layer.name} are zero.")
        picture = (energy_image(filters, cell) / energy).cpu().numpy()
        strongest = float(np.median(picture.diagonal()))
        shown = ax.imshow(
            picture,
            cmap=SEQUENTIAL,
            vmin=0,
            vmax=strongest,
            extent=(0, len(picture) * cell, len(picture) * cell, 0),
            interpolation="nearest",
        )
        ax.set_xlim(0, layer.dim)
        ax.set_ylim(layer.dim, 0)
        _frame(ax, layer)
        what = "|element|" if cell == 1 else f"RMS of {cell} × {cell} elements"
        colour_bar(ax, shown, f"{what} / mean variance", extend="max")
        return ax


def cell_size(layer: ConvLayer) -> int:
    """Elements along one side of a pixel: a divisor or a multiple of k^2.

    Pixels that do not fit the blocks would show a pattern that is not there.

    Examples
    --------
    >>> import torch
    >>> cell_size(ConvLayer("conv", torch.zeros(8, 512, 3, 3)))
    9
    """
    enough = -(-layer.dim // PIXELS)
    block = layer.kernel_size
    for divisor in range(enough, block):
        if block % divisor == 0:
            return divisor
    return 1 if enough == 1 else block * -(-enough // block)


def _frame(ax: Axes, layer: ConvLayer) -> None:
    """Title, labels and, where they are not too close, lines between the blocks."""
    size = layer.kernel_size
    if size > 1 and size_in_points(ax)[0] / layer.channels >= _CLOSEST:
        lines = range(size, layer.dim, size)
        ax.vlines(lines, 0, layer.dim, color=LINES, linewidth=0.4)
        ax.hlines(lines, 0, layer.dim, color=LINES, linewidth=0.4)
    ax.spines[:].set_visible(True)
    parts = f"{layer.channels} blocks of {size}" if size > 1 else f"{layer.channels} channels"
    ax.set_xlabel(f"position in the filter; {parts}")
    ax.set_ylabel("position")
    set_title(ax, layer.name, f": F Fᵀ / N′,  N′ = {layer.n_filters}")


def covariance_blocks(
    layer: Source, channels: int | Sequence[int] | None = None, ax: Axes | None = None
) -> Axes:
    """F F^T / N' among some input channels, element by element, with sign (paper, figure 2b).

    The unit is the mean of the diagonal over the whole layer; larger values are shown as 1.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    channels : int or sequence of int, optional
        Input channels from 0; the first four by default.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    CwdaError
        If there is no such channel.
    SourceError, WeightsError
        If it is no layer, or its weights are not finite.

    References
    ----------
    Huang et al. (2021), figure 2.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import covariance_blocks
    >>> ax = covariance_blocks(cwda.load("resnet20-cifar10")["layer1.0.conv1"], [0, 5])
    >>> ax.get_images()[0].get_array().shape
    (18, 18)
    """
    layer = layer_of(layer)
    filters = Filters.of(layer).values
    wanted = range(min(4, layer.channels)) if channels is None else channels
    chosen = as_indices(wanted, layer.channels, "input channel", layer.name, CwdaError)
    with canvas(ax, 89, 74, Margins(12, _BAR, 10, 8)) as ax:
        energy = float(filters.square().mean())
        if energy == 0:
            return say(ax, f"All weights of {layer.name} are zero.")
        part = filters.view(-1, layer.channels, layer.kernel_size)[:, chosen].flatten(1)
        moments = (part.T @ part / (layer.n_filters * energy)).numpy()
        side, size = len(moments), layer.kernel_size
        shown = ax.imshow(
            moments,
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            extent=(0, side, side, 0),
            interpolation="nearest",
        )
        lines = range(size, side, size)
        ax.vlines(lines, 0, side, color="#404040", linewidth=0.6)
        ax.hlines(lines, 0, side, color="#404040", linewidth=0.6)
        ax.spines[:].set_visible(True)
        centres = [(i + 0.5) * size for i in range(len(chosen))]
        step = -(-len(chosen) // 12)
        names = [str(channel) for channel in chosen]
        ax.set_xticks(centres[::step], names[::step])
        ax.set_yticks(centres[::step], names[::step])
        ax.tick_params(length=0)
        ax.set_xlabel(f"input channel, {size} position{'s' * (size > 1)} each")
        ax.set_ylabel("input channel")
        set_title(ax, layer.name, ": blocks of F Fᵀ / N′")
        colour_bar(ax, shown, "element / mean variance", ticks=(-1, -0.5, 0, 0.5, 1))
        return ax


def filter_image(layer: Source, index: int = 0, ax: Axes | None = None) -> Axes:
    """One filter: its kernels, channel by channel in rows (paper, figure 2c).

    Kernels with one axis are drawn as a row, those with three as their planes one below
    another.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    index : int
        The filter, from 0.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    CwdaError
        If there is no such filter.
    SourceError, WeightsError
        If it is no layer, or its weights are not finite.

    References
    ----------
    Huang et al. (2021), figure 2.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import filter_image
    >>> filter_image(cwda.load("resnet20-cifar10")["conv1"], 3).get_title(loc="left")
    'conv1: filter 3, 3 kernels 3×3'
    """
    layer = layer_of(layer)
    index = as_indices([index], layer.n_filters, "filter", layer.name, CwdaError)[0]
    kernels = Filters.of(layer).values[index].view(layer.channels, -1, layer.kernel[-1]).numpy()
    channels, height, width = kernels.shape
    square = round((channels * (height + 1) / (width + 1)) ** 0.5)
    across = min(channels, max(square, 1 if channels > 4 else channels))
    down = -(-channels // across)
    sheet = np.full((down * across, height + 1, width + 1), np.nan)
    sheet[:channels, :height, :width] = kernels
    sheet = sheet.reshape(down, across, height + 1, width + 1).swapaxes(1, 2)
    picture = sheet.reshape(down * (height + 1), across * (width + 1))[:-1, :-1]
    panel = 56 * down * (height + 1) / (across * (width + 1))
    with canvas(ax, 89, max(panel, 20) + 18, Margins(12, _BAR, 10, 8)) as ax:
        largest = float(np.abs(kernels).max()) or 1.0
        shown = ax.imshow(
            picture,
            cmap=colormaps[DIVERGING].with_extremes(bad="white"),
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
        )
        ax.spines[:].set_visible(False)
        ax.set_xticks([])
        step = -(-down // 8)
        rows = np.arange(0, down, step)
        ax.set_yticks(rows * (height + 1) + (height - 1) / 2, [str(row * across) for row in rows])
        ax.tick_params(length=0)
        ax.set_ylabel("first input channel of the row")
        ax.set_xlabel(f"{across} kernel{'s' * (across > 1)} a row")
        kernel = "×".join(map(str, layer.kernel))
        set_title(ax, layer.name, f": filter {index}, {channels} kernels {kernel}")
        colour_bar(ax, shown, "weight")
        return ax
