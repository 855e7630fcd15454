"""F F^T of a layer (paper, figure 2a)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.heat import colour_bar
from cwda.figures.drawing.style import LINES, SEQUENTIAL, message, size_in_points
from cwda.figures.drawing.text import set_title
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.numerics.device import resolve_device
from cwda.numerics.normality.energy_image import energy_image
from cwda.scoring import Filters
from cwda.typing import Device

__all__ = ["cell_size", "covariance"]

#: Pixels along one side of the picture of F F^T, at most.
PIXELS = 576

_BAR = 21.0
# Distance of grid lines, in points, below which they hide what they divide.
_CLOSEST = 4.0


def covariance(layer: Source, *, ax: Axes | None = None, device: Device = "auto") -> Axes:
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
        If it is not a layer, or its weights are not finite.

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
            return message(ax, f"All weights of {layer.name} are zero.")
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
