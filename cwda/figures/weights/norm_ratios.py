"""Shapes of the filters of a layer: l1/l2 against l2."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.style import CYCLE, GREY, LINES, legend, message
from cwda.figures.drawing.text import set_title
from cwda.figures.weights.live_layer import live_filters_of
from cwda.filters.norm_shape import expected_log_ratio_variance
from cwda.filters.unit_covariance import unit_covariance
from cwda.filters.unit_sums import unit_sums
from cwda.loading.source import Source
from cwda.loading.sources import layer_of

__all__ = ["norm_ratios"]

#: Half the width of the band, in standard deviations.
REACH = 1.96

#: Room for the legend above all filters, as a share of the height.
_ABOVE = 0.14


def norm_ratios(layer: Source, *, ax: Axes | None = None) -> Axes:
    """l1/l2 of each live filter against its l2, and the band of 95 % under CWDA.

    Both are relative to their medians. l1/l2 does not depend on the scale of a filter, only on
    its shape: it is smaller the fewer weights carry the filter. Under CWDA its logarithm scatters
    by `cwda.filters.norm_shape.expected_log_ratio_variance`, whatever the norm.

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

    References
    ----------
    Huang et al. (2021), theorem 3.1.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import norm_ratios
    >>> ax = norm_ratios(cwda.load("resnet20-cifar10")["layer3.0.conv1"])
    >>> ax.get_title(loc="left")
    'layer3.0.conv1: 64 live filters'
    """
    layer = layer_of(layer)
    live, l2 = live_filters_of(layer)
    with canvas(ax, 85, 76) as ax:
        if len(live) < 4 or layer.dim == 1:
            return message(ax, f"{layer.name} has too few weights or live filters.")
        x = (l2 / l2.median()).cpu().numpy()
        sums = unit_sums(live, l2)
        y = (sums.l1 / sums.l1.median()).cpu().numpy()
        reach = REACH * math.sqrt(expected_log_ratio_variance(unit_covariance(sums)))
        ax.axhspan(
            math.exp(-reach),
            math.exp(reach),
            color=LINES,
            alpha=0.6,
            linewidth=0,
            label="95 % under CWDA",
        )
        ax.axhline(1, color=GREY, linewidth=0.7)
        ax.plot(x, y, "o", color=CYCLE[0], markersize=3, markeredgecolor="white",
                markeredgewidth=0.3)  # fmt: skip
        ax.set_xlabel("l2 / median")
        ax.set_ylabel("(l1/l2) / median")
        set_title(ax, layer.name, f": {len(live)} live filters")
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, top + _ABOVE * (top - bottom))
        legend(ax, loc="upper right")
        return ax
