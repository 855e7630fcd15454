"""Scores of one layer with the law that CWDA predicts (paper, figure 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.style import DARK, criterion_style, legend, message
from cwda.figures.drawing.text import set_title
from cwda.formatting import number
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.scoring.registry import Criteria, Criterion, resolve
from cwda.scoring.scores import LayerScores, score_layer
from cwda.scoring.statistics.collected import LayerStatistics
from cwda.theory import BLOCK, CRITERIA, SCALE, Rung
from cwda.theory.live_fit import fit_live
from cwda.theory.model import FittedLayer
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.typing import Device

__all__ = ["LAWS", "draw_scores", "score_and_fit", "score_histogram"]

#: The predictions: rung, label, line.
LAWS: tuple[tuple[Rung, str, Literal["-", "--"]], ...] = (
    (BLOCK, "CWDA", "-"),
    (SCALE, "unequal scales", "--"),
)

Array = npt.NDArray[np.float64]


def score_histogram(
    layer: Source,
    criterion: str | Criterion = "l2",
    *,
    ax: Axes | None = None,
    device: Device = "auto",
) -> Axes:
    """Histogram of one criterion's scores in one layer, with the predicted law (paper, figure 1).

    The solid line is what CWDA predicts for N' filters, the dashed one what it predicts once
    filters may differ in scale. The legend has the coefficients of variation (CV).

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    criterion : str or Criterion
        A name of `cwda.criteria()`; only l1, l2, gm and fermat have a prediction.
    ax : Axes, optional
        Where to draw; a new figure of 80 mm by default.
    device : str or torch.device
        Where to score and fit, in float64.

    Raises
    ------
    SourceError, CriterionError
        If it is not a layer, or there is no such criterion.

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
    scored, fitted = score_and_fit(layer, [criterion], device)
    with canvas(ax, 85, 60) as ax:
        draw_scores(ax, scored, 0, fitted)
        set_title(ax, layer.name, f", {layer.n_filters} filters")
        legend(ax, loc="upper right", frameon=True, framealpha=0.8, edgecolor="none")
        return ax


def score_and_fit(
    layer: ConvLayer,
    criteria: Criteria,
    device: Device,
    statistics: LayerStatistics | None = None,
) -> tuple[LayerScores, FittedLayer | str]:
    """The scores, and the model fitted to the live filters or why there is none."""
    scored = score_layer(layer, resolve(criteria), device, statistics)
    fit = fit_live(layer, device=device)
    return scored, fit.fitted or fit.reason


def draw_scores(ax: Axes, scored: LayerScores, place: int, fitted: FittedLayer | str) -> list[str]:
    """Histogram and laws, labelled with their coefficients of variation; the first two of these."""
    criterion = scored.criteria[place]
    if scored.reasons[place]:
        message(ax, f"No scores: {scored.reasons[place]}")
        return []
    values = scored.values[place].cpu().numpy()
    counts, edges = np.histogram(values, bins=_edges(values))
    cvs = [f"CV {number(_cv(values))}"]
    _bars(ax, values, edges, criterion_style(criterion, place)[0], f"measured, {cvs[0]}")
    ax.set_xlabel(f"{criterion} score")
    ax.set_ylabel("filters")
    if criterion not in CRITERIA:
        return cvs
    if isinstance(fitted, str):
        ax.plot([], [], " ", label=f"no prediction: {fitted}")
    else:
        laws = [score_law(rung(fitted), criterion) for rung, _, _ in LAWS]
        cvs.append(f"CWDA {number(laws[0].cv)}")
        _curves(ax, laws, len(values) * (edges[1] - edges[0]), counts.max(), edges)
    return cvs


def _bars(ax: Axes, values: Array, edges: Array, colour: str, label: str) -> None:
    """The histogram, and a tick per filter below it."""
    import seaborn as sns

    sns.histplot(
        x=values, bins=list(edges), element="step", linewidth=0, color=colour, alpha=0.55,
        label=label, ax=ax,
    )  # fmt: skip
    sns.rugplot(x=values, height=0.03, linewidth=0.5, alpha=0.6, color=colour, ax=ax)


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
    for law, (_, label, line) in zip(laws, LAWS, strict=True):
        reach = 4 * law.mean * law.cv
        x = np.linspace(max(law.mean - reach, law.mean * 1e-3), law.mean + reach, 161)
        y = area * np.diff(law.cdf(x)) / np.diff(x)
        ax.plot((x[:-1] + x[1:]) / 2, y, line, color=DARK, label=f"{label}, CV {number(law.cv)}")
        top = max(top, min(1.1 * float(y.max()), 2 * highest))
    ax.set_xlim(low - pad, high + pad)
    ax.set_ylim(0, top)
