"""Rank correlations of criteria as heat maps (paper, figure 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, Normalize

from cwda.errors import CwdaError
from cwda.figures.drawing.heat import colour_bar, heat
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import (
    TEXT_WIDTH,
    VALUES,
    Margins,
    canvas,
    say,
    set_title,
    text_width,
)
from cwda.scoring import SimilarityResult

__all__ = ["criteria_matrix", "fisher", "similarity_map", "unfisher"]

#: Largest coefficient that is told from 1 on Fisher's scale.
MOST = 0.9995
_FINITE = 1 - 1e-9

_TICKS = (-0.9, -0.5, 0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
_BAR = 20.0

Array = npt.NDArray[np.float64]


def similarity_map(
    sim: SimilarityResult, coefficient: str = "spearman", ax: Axes | None = None
) -> Axes:
    """Rank correlation of each two criteria in each layer: layers by pairs.

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
    wide = _require(sim, coefficient).wide(coefficient)
    names, pairs = list(wide.index), list(wide.columns)
    upright = len(pairs) > 10
    top = 8.0 + text_width(pairs) if upright else 11.0
    margins = layer_margins(names, right=_BAR, bottom=2, top=top)
    height = tall(len(names)) + margins.bottom + margins.top
    with canvas(ax, TEXT_WIDTH, max(height, 30), margins) as ax:
        values = wide.to_numpy(dtype=np.float64)
        _draw(ax, values, coefficient)
        label_layers(ax, names)
        ax.set_xticks(np.arange(len(pairs)) + 0.5, pairs, rotation=90 if upright else 0)
        ax.xaxis.tick_top()
        set_title(ax, sim.network.name, "")
        return ax if np.isfinite(values).any() else say(ax, _undefined(sim.table))


def criteria_matrix(
    sim: SimilarityResult,
    layer: str | int | None = None,
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
    matrix = _require(sim, coefficient).matrix(layer, coefficient)
    names = list(matrix.index)
    rows = sim.table
    title = f"{sim.network.name}, mean over {len(sim.network)} layers"
    if layer is not None:
        title = layer if isinstance(layer, str) else sim.network[layer].name
        rows = rows[rows["layer"] == title]
    left = 4.0 + text_width(names)
    side = min(max(10.0 * len(names), 30.0), TEXT_WIDTH - left - _BAR)
    upright = len(names) > 6
    top = 8.0 + (text_width(names) if upright else 3.0)
    margins = Margins(left, _BAR, 2, top)
    with canvas(ax, left + side + _BAR, side + 2 + top, margins) as ax:
        values = matrix.to_numpy(dtype=np.float64, copy=True)
        _draw(ax, values, coefficient)
        at = np.arange(len(names)) + 0.5
        ax.set_yticks(at, names)
        ax.set_xticks(at, names, rotation=90 if upright else 0)
        ax.xaxis.tick_top()
        set_title(ax, title, "")
        return ax if np.isfinite(values).any() else say(ax, _undefined(rows))


def _require(sim: SimilarityResult, coefficient: str) -> SimilarityResult:
    if not isinstance(sim, SimilarityResult):
        raise CwdaError(
            f"the figure needs what cwda.similarity(...) returns, not {type(sim).__name__}"
        )
    if sim.table.empty:
        raise CwdaError("the network has no layers: there is nothing to draw")
    if not isinstance(coefficient, str) or coefficient not in sim.table.columns:
        raise CwdaError(
            f"no coefficient {coefficient!r}; take spearman, kendall, rbo or overlap_10"
        )
    return sim


def _undefined(rows: Any) -> str:
    return f"No rank correlation is defined: {rows['reason'].iloc[0]}"


def _draw(ax: Axes, values: Array, coefficient: str) -> ScalarMappable:
    """The cells and the bar; rank correlations on Fisher's scale, overlaps as they are."""
    finite = values[np.isfinite(values)]
    low = float(finite.min()) if finite.size else 0.0
    if coefficient in ("spearman", "kendall"):
        low = max(-MOST, min(low, 0.9))
        norm: Normalize = FuncNorm((fisher, unfisher), vmin=low, vmax=MOST, clip=True)
        name = {"spearman": "Spearman's ρ", "kendall": "Kendall's τ"}[coefficient]
        ticks = [tick for tick in _TICKS if low <= tick <= MOST]
    else:
        norm, name, ticks = Normalize(0, 1), coefficient.replace("_", " "), [0, 0.5, 1]
    mesh = heat(ax, values, norm, VALUES, _coefficient)
    colour_bar(ax, mesh, name, ticks)
    return mesh


def _coefficient(value: float) -> str:
    """As `three_digits`, but only what is 1 is written as 1."""
    rounded_up = MOST <= value < 1 - 1e-12
    return ">.999" if rounded_up else three_digits(value)


def three_digits(value: float) -> str:
    """A coefficient without its leading zero.

    Examples
    --------
    >>> three_digits(0.98765), three_digits(-0.5), three_digits(1.0)
    ('.988', '-.500', '1')
    """
    return "1" if abs(value - 1) < 1e-12 else f"{value:.3f}".replace("0.", ".", 1)


def fisher(rho: Any) -> Any:
    """atanh, finite at 1."""
    return np.arctanh(np.clip(rho, -_FINITE, _FINITE))


def unfisher(z: Any) -> Any:
    """The inverse of `fisher`."""
    return np.tanh(z)
