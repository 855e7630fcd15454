"""How close each filter of a layer comes to a multiple of another."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.style import CYCLE, DARK, GREY, legend, message
from cwda.figures.drawing.text import set_title
from cwda.figures.weights.live_layer import live_filters_of
from cwda.filters.copies import THRESHOLD, Copies, copies
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.numerics.crossing import crossing

__all__ = ["nearest_filters"]

#: The dotted line is exceeded in this share of layers that obey CWDA.
RARE = 0.05


def nearest_filters(layer: Source, *, ax: Axes | None = None) -> Axes:
    """Largest |cosine| of each live filter with another one, in ascending order.

    Above the dashed line are copies. The dotted line is the |cosine| that some pair of the
    layer's filters exceeds in 5 % of layers under CWDA, by their effective dimension.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    ax : Axes, optional
        Where to draw; a new figure of 85 mm by default.

    Raises
    ------
    SourceError, WeightsError
        If it is not a layer, or its weights are not finite or all equal.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import nearest_filters
    >>> ax = nearest_filters(cwda.load("resnet20-cifar10")["layer3.0.conv1"])
    >>> ax.get_title(loc="left")
    'layer3.0.conv1: 64 live filters'
    """
    layer = layer_of(layer)
    filters = live_filters_of(layer)[0].flatten(1)
    with canvas(ax, 85, 76) as ax:
        if len(filters) < 4:
            return message(ax, f"{layer.name} has {len(filters)} live filters.")
        gram = filters @ filters.T
        found = copies(gram, gram.diagonal().clone())
        heights = np.sort(found.nearest.cpu().numpy())
        ax.axhline(THRESHOLD, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, label="copies")
        ax.axhline(_chance(found), color=GREY, linestyle=":", linewidth=1, label="5 % under CWDA")
        ax.plot(np.arange(1, len(heights) + 1), heights, ".", color=CYCLE[0], markersize=4)
        ax.set_ylim(min(0.0, float(heights[0])), 1.02)
        ax.set_xlabel("filter, in this order")
        ax.set_ylabel("largest |cosine| with another")
        set_title(ax, layer.name, f": {len(filters)} live filters")
        legend(ax, loc="upper left", bbox_to_anchor=(0, THRESHOLD))
        return ax


def _chance(found: Copies) -> float:
    """The |cosine| that some pair exceeds with probability `RARE`."""

    def common(cosine: npt.NDArray[np.float64]) -> bool:
        return found.log_tail(float(cosine)) > math.log(RARE)

    return float(crossing(common, 0.0, 1.0))
