"""Rank correlations of all criteria in one layer."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.coefficients import coefficient_cells, require_similarity, undefined
from cwda.figures.drawing.style import TEXT_WIDTH, message
from cwda.figures.drawing.text import set_title, text_width
from cwda.scoring import SimilarityResult

__all__ = ["criteria_matrix"]

_BAR = 20.0


def criteria_matrix(
    sim: SimilarityResult,
    layer: str | int | None = None,
    *,
    coefficient: str = "spearman",
    ax: Axes | None = None,
) -> Axes:
    """Rank correlation of all criteria, in one layer or on average: criteria by criteria.

    Parameters
    ----------
    sim : SimilarityResult
        What `cwda.similarity` returns.
    layer : str or int, optional
        Name of a layer, or its position from 0; the mean over the layers by default.
    coefficient : str
        ``spearman``, ``kendall``, ``rbo`` or ``overlap_10``, ... of its table.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    CwdaError
        If there is no such layer or coefficient.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import criteria_matrix
    >>> sim = cwda.similarity(cwda.load("resnet20-cifar10").select("layer1.*"))
    >>> ax = criteria_matrix(sim, "layer1.0.conv1")
    >>> ax.get_title(loc="left")
    'layer1.0.conv1'
    """
    matrix = require_similarity(sim, coefficient).matrix(layer, coefficient)
    names = list(matrix.index)
    rows = sim.table
    title = f"{sim.networks[0].name}, mean over {len(sim.networks[0])} layers"
    if layer is not None:
        title = layer if isinstance(layer, str) else sim.networks[0][layer].name
        rows = rows[rows["layer"] == title]
    left = 4.0 + text_width(names)
    side = min(max(10.0 * len(names), 30.0), TEXT_WIDTH - left - _BAR)
    upright = len(names) > 6
    top = 8.0 + (text_width(names) if upright else 3.0)
    margins = Margins(left, _BAR, 2, top)
    with canvas(ax, left + side + _BAR, side + 2 + top, margins) as ax:
        values = matrix.to_numpy(dtype=np.float64, copy=True)
        coefficient_cells(ax, values, coefficient)
        at = np.arange(len(names)) + 0.5
        ax.set_yticks(at, names)
        ax.set_xticks(at, names, rotation=90 if upright else 0)
        ax.xaxis.tick_top()
        set_title(ax, title, "")
        return ax if np.isfinite(values).any() else message(ax, undefined(rows))
