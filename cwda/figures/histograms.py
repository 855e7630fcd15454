"""Scores of a layer with the law that CWDA predicts (paper, figure 1)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cwda.errors import CwdaError
from cwda.figures.drawing.style import (
    DARK,
    SMALL,
    TEXT_WIDTH,
    Panels,
    Shown,
    as_label,
    canvas,
    criterion_style,
    empty_figure,
    legend,
    plain,
    say,
    set_title,
    styled,
)
from cwda.figures.matrices import three_digits
from cwda.layers import ConvLayer
from cwda.loading.sources import Source, layer_of, network_of
from cwda.numerics.device import resolve_device
from cwda.scoring.registry import resolve
from cwda.scoring.scores import LayerScores, score_layer
from cwda.theory import BLOCK, CRITERIA, SCALE, Rung
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.score_law import ScoreLaw, score_law

__all__ = ["score_histogram", "score_histograms"]

#: Layers shown where none are named.
FEW = 6

#: The predictions: rung, label, line.
_LAWS: tuple[tuple[Rung, str, Literal["-", "--"]], ...] = (
    (BLOCK, "CWDA", "-"),
    (SCALE, "unequal scales", "--"),
)

Array = npt.NDArray[np.float64]


def score_histogram(
    layer: Source,
    criterion: str = "l2",
    ax: Axes | None = None,
    *,
    device: str | torch.device = "auto",
) -> Axes:
    """Histogram of one criterion's scores in one layer, with the predicted law (paper, figure 1).

    The solid line is what CWDA predicts for N' filters, the dashed one what it predicts once
    filters may differ in scale. The legend has the coefficients of variation (CV).

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    criterion : str
        A name of `cwda.criteria()`; only l1, l2, gm and fermat have a prediction.
    ax : Axes, optional
        Where to draw; a new figure of 80 mm by default.
    device : str or torch.device
        Where to score and fit, in float64.

    Raises
    ------
    SourceError, CriterionError
        If it is no layer, or there is no such criterion.

    References
    ----------
    Huang et al. (2021), figure 1.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import score_histogram
    >>> ax = score_histogram(cwda.load("resnet20-cifar10")["layer3.0.conv1"], "l1")
    >>> ax.get_xlabel()
    'l1 score'
    """
    layer = layer_of(layer)
    scored, fitted = _prepare(layer, [criterion], device)
    with canvas(ax, 85, 60) as ax:
        _draw(ax, scored, 0, fitted)
        set_title(ax, layer.name, f", {layer.n_filters} filters")
        legend(ax, loc="upper right", frameon=True, framealpha=0.8, edgecolor="none")
        return ax


def score_histograms(
    source: Source,
    layers: str | int | Sequence[str | int] | None = None,
    criteria: Sequence[str] = CRITERIA,
    *,
    device: str | torch.device = "auto",
) -> Panels:
    """Histograms of several layers (rows) and criteria (columns); see `score_histogram`.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to draw: a name, file, Module, layer or array N x k^2 x N'.
    layers : sequence of str or int, optional
        Names or positions; six, evenly spaced in depth, by default.
    criteria : sequence of str
        Names of `cwda.criteria()`.
    device : str or torch.device
        Where to score and fit, in float64.

    Returns
    -------
    ndarray of Axes
        layers x criteria, of a new figure of 160 mm: ``axes[0, 0].figure``.

    Raises
    ------
    CwdaError, CriterionError
        If a name is unknown.

    References
    ----------
    Huang et al. (2021), figure 1.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import score_histograms
    >>> net = cwda.load("resnet20-cifar10")
    >>> score_histograms(net, ["conv1", "layer3.2.conv2"], ["l1", "l2"]).shape
    (2, 2)
    """
    chosen = _layers(source, layers)
    prepared = [_prepare(layer, criteria, device) for layer in chosen]
    rows, columns = len(chosen), len(criteria)
    height = 36.0 * rows + 8
    with styled():
        figure = empty_figure(TEXT_WIDTH, height)
        axes = figure.subplots(rows, columns, squeeze=False, subplot_kw={"axes_class": Shown})
        figure.subplots_adjust(
            left=10 / TEXT_WIDTH,
            right=1 - 2 / TEXT_WIDTH,
            bottom=10 / height,
            top=1 - 14 / height,
            wspace=0.24,
            hspace=0.62,
        )
        for i, (scored, fitted) in enumerate(prepared):
            for j, ax in enumerate(axes[i]):
                plain(ax)
                ax.locator_params(nbins=4)
                cvs = _draw(ax, scored, j, fitted)
                ax.set_title(", ".join(cvs), loc="right", fontsize=SMALL - 0.5)
                if j:
                    ax.set_ylabel("")
                if i < rows - 1:
                    ax.set_xlabel("")
            axes[i, 0].annotate(
                as_label(f"{chosen[i].name}, {chosen[i].n_filters} filters"),
                (0, 1),
                (0, 14),
                xycoords="axes fraction",
                textcoords="offset points",
            )
        lines = [Line2D([], [], color=DARK, linewidth=1, linestyle=line) for *_, line in _LAWS]
        names = [label for _, label, _ in _LAWS]
        figure.legend(lines, names, loc="upper right", ncols=len(_LAWS))
    return axes.view(Panels)


def _layers(source: Source, layers: str | int | Sequence[str | int] | None) -> list[ConvLayer]:
    network = network_of(source)
    if layers is None:
        at = np.linspace(0, len(network) - 1, min(FEW, len(network))).round().astype(int)
        layers = [int(i) for i in at]
    if isinstance(layers, str | int) or not isinstance(layers, Iterable):
        layers = [layers]
    chosen = [network[layer] for layer in layers]
    if not chosen:
        raise CwdaError("no layer to draw; name some, such as layers=['conv1']")
    return chosen


def _prepare(
    layer: ConvLayer, criteria: Sequence[str], device: str | torch.device
) -> tuple[LayerScores, FittedLayer | str]:
    """The scores, and the fitted model or why there is none."""
    where = resolve_device(device)
    scored = score_layer(layer, resolve(criteria), where)
    fitted, reason = fit_or_reason(layer, device=where)
    return scored, fitted or reason


def _draw(ax: Axes, scored: LayerScores, place: int, fitted: FittedLayer | str) -> list[str]:
    """Histogram and laws, labelled with their coefficients of variation; the first two of these."""
    criterion = scored.criteria[place]
    if scored.reasons[place]:
        say(ax, f"No scores: {scored.reasons[place]}")
        return []
    values = scored.values[place].cpu().numpy()
    counts, edges = np.histogram(values, bins=_edges(values))
    cvs = [f"CV {three_digits(_cv(values))}"]
    colour = criterion_style(criterion, place)[0]
    ax.stairs(counts, edges, fill=True, color=colour, alpha=0.55, label=f"measured, {cvs[0]}")
    ax.set_xlabel(f"{criterion} score")
    ax.set_ylabel("filters")
    if isinstance(fitted, str):
        ax.plot([], [], " ", label=f"no prediction: {fitted}")
    elif criterion in CRITERIA:
        laws = [score_law(rung(fitted), criterion) for rung, _, _ in _LAWS]
        cvs.append(f"CWDA {three_digits(laws[0].cv)}")
        _curves(ax, laws, len(values) * (edges[1] - edges[0]), counts.max(), edges)
    return cvs


def _edges(values: Array) -> Array:
    """Edges of 8 to 40 bins, by the rule of Freedman and Diaconis."""
    bins = len(np.histogram_bin_edges(values, "fd")) - 1 if np.ptp(values) > 0 else 1
    return np.histogram_bin_edges(values, min(max(bins, 8), 40))


def _cv(values: Array) -> float:
    mean = float(values.mean())
    return float(values.std(ddof=1)) / mean if mean and len(values) > 1 else math.nan


def _curves(ax: Axes, laws: Sequence[ScoreLaw], area: float, highest: int, edges: Array) -> None:
    """Densities as expected counts; a peak far above the histogram leaves the picture."""
    low, high = float(edges[0]), float(edges[-1])
    pad = 0.04 * (high - low)
    top = 1.25 * highest
    for law, (_, label, line) in zip(laws, _LAWS, strict=True):
        reach = 4 * law.mean * law.cv
        x = np.linspace(max(law.mean - reach, law.mean * 1e-3), law.mean + reach, 161)
        y = area * np.diff(law.cdf(x)) / np.diff(x)
        ax.plot(
            (x[:-1] + x[1:]) / 2, y, line, color=DARK, label=f"{label}, CV {three_digits(law.cv)}"
        )
        top = max(top, min(1.1 * float(y.max()), 2 * highest))
    ax.set_xlim(low - pad, high + pad)
    ax.set_ylim(0, top)
