"""How a condition changes in the layers of a network along its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cwda.arguments import name_of
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.conditions_table import conditions_table
from cwda.figures.drawing.heat import colour_bar
from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    TEXT_WIDTH,
    VALUES,
    legend_above,
    message,
)
from cwda.figures.drawing.tables import choose, unique
from cwda.formatting import many
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layer_trajectory"]


def layer_trajectory(
    results: Mapping[float, object],
    condition: str | Named,
    layer: str | Named | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Effect of one condition in the layers against the epoch.

    - One thin line per layer, coloured by depth, the median over the layers in bold, and the
      margin dashed.
    - With a layer: its effect with the interval.

    Parameters
    ----------
    results : mapping of float to CheckResult or DataFrame
        What `cwda.check` returns, by epoch (or step).
    condition : str
        One condition.
    layer : str, optional
        One layer.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If there are no results, or they lack the condition or layer.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.check(cwda.load("resnet20-cifar10"), ["mean", "epsilon"])
    >>> cwda.figures.layer_trajectory({0: res, 1: res}, "mean").get_ylabel()
    'effect: mean'
    """
    condition = name_of(condition)
    table = choose(_gather(results), "condition", condition)
    if layer is not None:
        layer = name_of(layer)
        table = choose(table, "layer", layer)
    right = 18.0 if layer is None else 3.0
    with canvas(ax, TEXT_WIDTH, 69 + Margins().top, Margins(left=15, right=right)) as ax:
        defined = table.dropna(subset=["effect"])
        if defined.empty:
            return message(ax, f"No layer can be tested: {table['reason'].iloc[0]}")
        if layer is None:
            _all_layers(ax, defined)
        else:
            _one_layer(ax, defined)
        _margin(ax, defined)
        ax.set_ylabel("\n".join(filter(None, [layer, f"effect: {condition}"])))
        ax.set_xlabel(f"epoch ({many(len(results), 'checkpoint')})")
        legend_above(ax, 3)
        return ax


def _gather(results: Mapping[float, object]) -> pd.DataFrame:
    """All tables below one another, with a column `epoch`."""
    import pandas as pd

    if not isinstance(results, Mapping) or not results:
        raise CwdaError("the figure needs results by epoch, such as {0: res0, 10: res10}")
    tables = [
        conditions_table(result, "reason").assign(epoch=epoch) for epoch, result in results.items()
    ]
    return pd.concat(tables, ignore_index=True).sort_values("epoch", kind="stable")


def _all_layers(ax: Axes, rows: pd.DataFrame) -> None:
    wide = rows.pivot_table(index="epoch", columns="layer", values="effect", sort=False)
    wide = wide[unique(rows["layer"])].sort_index()
    depth = Normalize(1, max(wide.shape[1], 2))
    colours = colormaps[VALUES](depth(np.arange(1, wide.shape[1] + 1)))
    for name, colour in zip(wide.columns, colours, strict=True):
        ax.plot(wide.index, wide[name], color=colour, linewidth=0.6, alpha=0.7)
    ax.plot(wide.index, wide.median(axis=1), "o-", color=DARK, markersize=3.5, label="median layer")
    colour_bar(ax, ScalarMappable(depth, VALUES), "layer, by depth")


def _one_layer(ax: Axes, rows: pd.DataFrame) -> None:
    low, high = rows["effect_low"], rows["effect_high"]
    ax.fill_between(
        rows["epoch"], low, high, color=CYCLE[0], alpha=0.2, linewidth=0, label="interval"
    )
    ax.plot(rows["epoch"], rows["effect"], "o-", color=CYCLE[0], markersize=3.5, label="effect")


def _margin(ax: Axes, rows: pd.DataFrame) -> None:
    for margin in unique(rows["margin"]):
        ax.axhline(margin, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, label="margin")
    ax.set_ylim(bottom=min(0.0, float(rows["effect_low"].min())))
