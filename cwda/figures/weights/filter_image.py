"""The kernels of one filter (paper, figure 2c)."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from cwda.arguments import as_indices
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.heat import colour_bar
from cwda.figures.drawing.style import DIVERGING
from cwda.figures.drawing.text import set_title
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.scoring import Filters

__all__ = ["filter_image"]

_BAR = 21.0


def filter_image(layer: Source, index: int = 0, *, ax: Axes | None = None) -> Axes:
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
        If it is not a layer, or its weights are not finite.

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
        ax.set_xlabel(f"{across} kernel{'s' * (across > 1)} per row")
        kernel = "×".join(map(str, layer.kernel))
        set_title(ax, layer.name, f": filter {index}, {channels} kernels {kernel}")
        colour_bar(ax, shown, "weight")
        return ax
