"""Scores of several layers with the law that CWDA predicts (paper, figure 1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, Panels, panel_canvas
from cwda.figures.drawing.style import DARK, MM, SIZE, SMALL
from cwda.figures.drawing.text import fitted
from cwda.figures.scores.score_histogram import LAWS, draw_scores, score_and_fit
from cwda.layers import ConvLayer, Network
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import LayerScores
from cwda.scoring.statistics.collected import Collected
from cwda.theory import CRITERIA
from cwda.theory.model import FittedLayer
from cwda.typing import Device

__all__ = ["score_histograms"]

#: Layers shown where none are named.
FEW = 6


def score_histograms(
    source: Source,
    layers: str | int | Sequence[str | int] | None = None,
    criteria: Criteria = CRITERIA,
    *,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    ax: npt.ArrayLike | None = None,
    device: Device = "auto",
) -> Panels:
    """Histograms of several layers (rows) and criteria (columns); see `score_histogram`.

    The paper's figure 1 has the criteria ``["bn_gamma", "taylor_l2", "l2"]``.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to draw: a name, file, Module, layer or array N x k^2 x N'.
    layers : sequence of str or int, optional
        Names or positions; six, evenly spaced in depth, by default.
    criteria : str, Criterion or sequence of these
        Names of `cwda.criteria()`.
    data, batch_size
        What criteria that need activations or gradients run a Module on; the same as in
        `cwda.similarity`.
    ax : array of Axes, optional
        Where to draw: one for each layer and criterion, row by row, such as
        ``figure.subplots(rows, columns)`` gives; a new figure of 160 mm by default.
    device : str or torch.device
        Where to score and fit, in float64.

    Returns
    -------
    ndarray of Axes
        layers x criteria; in a notebook it shows its figure, ``axes.figure``.

    Raises
    ------
    CwdaError, CriterionError
        If a name is unknown, or `ax` has another number of Axes.

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
    resolved = resolve(criteria)
    network, statistics = prepare(source, resolved, data=data, batch_size=batch_size, device=device)
    network_layers = _layers(network, layers)
    prepared = [
        score_and_fit(layer, resolved, device, statistics.layers.get(layer.name))
        for layer in network_layers
    ]
    rows, columns = len(network_layers), len(resolved)
    height = 36 + 8 / rows
    layout = {"height": height, "margins": Margins(10, 2, 10, 14), "gaps": (0.24, 0.62)}
    with panel_canvas(ax, rows * columns, columns=columns, **layout) as flat:
        axes = flat.reshape(rows, columns).view(Panels)
        for i, (scored, model) in enumerate(prepared):
            _row(axes[i], network_layers[i], scored, model, last=i == rows - 1)
        if not {criterion.name for criterion in resolved}.isdisjoint(CRITERIA):
            _legend(axes)
        return axes


def _row(
    axes: Panels, layer: ConvLayer, scored: LayerScores, model: FittedLayer | str, *, last: bool
) -> None:
    """The histograms of one layer, with its name above the first."""
    for j, ax in enumerate(axes):
        ax.locator_params(nbins=4)
        ax.ticklabel_format(axis="x", scilimits=(-2, 4), useMathText=True)
        ax.xaxis.offsetText.set_fontsize(SMALL)
        ax.set_title(
            ", ".join(draw_scores(ax, scored, j, model)), loc="right", fontsize=SMALL - 0.5
        )
        if j:
            ax.set_ylabel("")
        if not last:
            ax.set_xlabel("")
    right_edge = axes[-1].get_window_extent().x1 - axes[0].get_window_extent().x0
    room = right_edge / axes.figure.dpi / MM
    axes[0].annotate(
        fitted(layer.name, f", {layer.n_filters} filters", room, SIZE),
        (0, 1),
        (0, 14),
        xycoords="axes fraction",
        textcoords="offset points",
    )


def _legend(axes: Panels) -> None:
    """The lines of the predictions, at the top right corner above the panels."""
    lines = [Line2D([], [], color=DARK, linewidth=1, linestyle=line) for *_, line in LAWS]
    names = [label for _, label, _ in LAWS]
    corner = axes[0, -1]
    shift = ScaledTranslation(2.2 / 72, 36.2 / 72, axes.figure.dpi_scale_trans)
    corner.legend(
        lines,
        names,
        loc="upper right",
        bbox_to_anchor=(1, 1),
        bbox_transform=corner.transAxes + shift,
        borderaxespad=0,
        ncols=len(LAWS),
    )


def _layers(network: Network, layers: str | int | Sequence[str | int] | None) -> list[ConvLayer]:
    if layers is None:
        at = np.linspace(0, len(network) - 1, min(FEW, len(network))).round().astype(int)
        layers = [int(i) for i in at]
    if isinstance(layers, str | int) or not isinstance(layers, Iterable):
        layers = [layers]
    named = [network[layer] for layer in layers]
    if not named:
        raise CwdaError("no layer to draw; name some, such as layers=['conv1']")
    return named
