"""Normal Q-Q plots of weights, with a simultaneous band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from scipy import special
from torch import Tensor

from cwda.arguments import as_indices
from cwda.conditions.workspace import unfit
from cwda.errors import CwdaError, WeightsError
from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.style import CYCLE, GREY, LINES, legend, message
from cwda.figures.drawing.text import set_title
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.numerics.normality.normal_band import FEWEST, LEVEL, normal_band
from cwda.numerics.normality.sorting import sort_rows
from cwda.numerics.normality.standard_normal import standardise_sorted

__all__ = ["drawn_ranks", "qq"]

#: Order statistics at either end that are all drawn, and points in between, at most.
ENDS, BETWEEN = 50, 300


def qq(
    layer: Source,
    filters: int | Sequence[int] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Normal Q-Q plot of a layer's weights, or of single filters, with a 95 % band.

    Each sample is divided by its SD after its mean was taken off. All points of a sample of
    independent normal values lie within the band with probability .95 (equal local levels at all
    order statistics, calibrated for estimated mean and SD; see
    `cwda.numerics.normality.normal_band.normal_band`). Pooled weights are not independent where
    correlation within blocks or filters of unequal scale violate CWDA: a band left shows
    that, too. Of large samples the 50 outermost values on either side and 300 between are drawn.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    filters : int or sequence of int, optional
        Filters from 0, a curve each; all weights pooled by default.
    ax : Axes, optional
        Where to draw; a new figure of 85 mm by default.

    Raises
    ------
    CwdaError
        If there is no such filter, or a filter has fewer than 8 weights.
    SourceError, WeightsError
        If it is not a layer, or its weights are not finite or all equal.

    References
    ----------
    Aldor-Noiman et al. (2013), The power to see: a new graphical test of normality, The
    American Statistician 67, 249-260.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import qq
    >>> ax = qq(cwda.load("resnet20-cifar10")["layer3.0.conv1"])
    >>> ax.get_title(loc="left")
    'layer3.0.conv1: 18,432 weights'
    """
    layer = layer_of(layer)
    samples, names = _samples(layer, filters)
    ordered = standardise_sorted(sort_rows(samples))
    n = samples.shape[1]
    ranks = drawn_ranks(n)
    x = special.ndtri((ranks - 0.5) / n)
    with canvas(ax, 85, 76) as ax:
        if bool(ordered.degenerate.all()):
            return message(ax, f"The weights drawn of {layer.name} are all equal.")
        low, high = normal_band(n, ranks)
        ax.fill_between(
            x, low, high, color=LINES, alpha=0.6, linewidth=0, label=f"{100 * LEVEL:g} % band"
        )
        ax.plot(x[[0, -1]], x[[0, -1]], color=GREY, linewidth=0.7)
        for i, values in enumerate(ordered.z[:, ranks - 1].cpu().numpy()):
            colour = CYCLE[i % len(CYCLE)]
            leaves = bool(((values < low) | (values > high)).any())
            label = f"{names[i]}, outside" if leaves else names[i]
            ax.plot(x, values, ".", color=colour, markersize=2.5, label=label)
        ax.set_xlabel("standard normal quantile")
        ax.set_ylabel("weight, standardised")
        set_title(ax, layer.name, f": {n:,} weights" + (" each" if len(samples) > 1 else ""))
        legend(ax, loc="upper left", markerscale=2.5)
        return ax


def _samples(layer: ConvLayer, filters: int | Sequence[int] | None) -> tuple[Tensor, list[str]]:
    """One sample a row, and its label."""
    reason = unfit(layer)
    if reason and not reason.endswith("needed"):  # few filters may still have many weights
        raise WeightsError(f"{layer.name}: {reason}")
    rows = layer.weight.detach().reshape(layer.n_filters, layer.dim)
    if filters is None:
        rows, names = rows.reshape(1, -1), ["all weights"]
    else:
        indices = as_indices(filters, layer.n_filters, "filter", layer.name, CwdaError)
        rows, names = rows[indices], [f"filter {index}" for index in indices]
    if rows.shape[1] < FEWEST:
        raise CwdaError(f"{layer.name}: {rows.shape[1]} weights per sample; {FEWEST} are needed")
    return rows.to(torch.float64) if rows.dtype == torch.float16 else rows, names


def drawn_ranks(n: int) -> npt.NDArray[np.int_]:
    """The order statistics that are drawn: all of a few hundred, else evenly spaced on the axis.

    Examples
    --------
    >>> len(drawn_ranks(100)), len(drawn_ranks(10**6)) < 450
    (100, True)
    """
    if n <= 2 * ENDS + BETWEEN:
        return np.arange(1, n + 1)
    reach = float(special.ndtri((n - 0.5) / n))
    between = special.ndtr(np.linspace(-reach, reach, BETWEEN)) * n + 0.5
    ends = np.arange(1, ENDS + 1)
    return np.unique(np.concatenate([ends, between.round().astype(int), n + 1 - ends]))
