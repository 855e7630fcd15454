"""Rank correlations of every pair of criteria in each layer (paper, figure 4)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.coefficients import coefficient_cells, require_similarity, undefined
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import TEXT_WIDTH, message
from cwda.figures.drawing.text import set_title, text_width
from cwda.scoring import SimilarityResult

__all__ = ["similarity_map"]

_BAR = 20.0


def similarity_map(
    sim: SimilarityResult, coefficient: str = "spearman", *, ax: Axes | None = None
) -> Axes:
    """Rank correlation of every pair of criteria in each layer: layers by pairs.

    Colours follow Fisher's z, atanh(rho), so that .99 and .9 differ as .9 and .3 do;
    undefined coefficients are hatched.

    Parameters
    ----------
    sim : SimilarityResult
        What `cwda.similarity` returns.
    coefficient : str
        ``spearman``, ``kendall``, ``rbo`` or ``overlap_10``, ... of its table.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If there is no such coefficient.

    References
    ----------
    Huang et al. (2021), figure 4.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import similarity_map
    >>> ax = similarity_map(cwda.similarity(cwda.load("resnet20-cifar10")))
    >>> [label.get_text() for label in ax.get_xticklabels()][:2]
    ['l1-l2', 'l1-gm']
    """
    wide = require_similarity(sim, coefficient).wide(coefficient)
    names, pairs = list(wide.index), list(wide.columns)
    upright = len(pairs) > 10
    top = 8.0 + text_width(pairs) if upright else 11.0
    margins = layer_margins(names, right=_BAR, bottom=2, top=top)
    height = tall(len(names)) + margins.bottom + margins.top
    with canvas(ax, TEXT_WIDTH, max(height, 30), margins) as ax:
        values = wide.to_numpy(dtype=np.float64)
        coefficient_cells(ax, values, coefficient)
        label_layers(ax, names)
        ax.set_xticks(np.arange(len(pairs)) + 0.5, pairs, rotation=90 if upright else 0)
        ax.xaxis.tick_top()
        set_title(ax, sim.networks[0].name, "")
        return ax if np.isfinite(values).any() else message(ax, undefined(sim.table))
