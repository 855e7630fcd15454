"""How the conditions change along a training run."""

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
    GREY,
    LINES,
    TEXT_WIDTH,
    VALUES,
    legend_above,
    message,
    series_style,
)
from cwda.figures.drawing.tables import choose, unique
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["trajectory"]

#: Conditions in one line of the legend.
_IN_A_LINE = 6


def trajectory(
    results: Mapping[float, object],
    condition: str | Named | None = None,
    layer: str | Named | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Effects of the conditions against the epoch, for checkpoints of one training run.

    - With a condition: one thin line per layer, coloured by depth, the median over the layers in
      bold, and the margin dashed.
    - With a condition and a layer: its effect with the interval.
    - With neither: the effect of each condition over its margin, median over the layers, with
      the quartiles as bars; below 1 the median layer is within the margin.

    Parameters
    ----------
    results : mapping of float to CheckResult or DataFrame
        What `cwda.check` returns, by epoch (or step).
    condition : str, optional
        One condition.
    layer : str, optional
        One layer; needs a condition.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If there are no results, or they lack the condition or layer.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import trajectory
    >>> res = cwda.check(cwda.load("resnet20-cifar10"), ["mean", "epsilon"])
    >>> trajectory({0: res, 1: res}, "mean").get_ylabel()
    'effect: mean'
    """
    table = _gather(results)
    if layer is not None and condition is None:
        raise CwdaError("a layer needs a condition, such as condition='mean'")
    if condition is not None:
        condition = name_of(condition)
        table = choose(table, "condition", condition)
    if layer is not None:
        layer = name_of(layer)
        table = choose(table, "layer", layer)
    right = 18.0 if condition is not None and layer is None else 3.0
    lines = 1 if condition is not None else -(-table["condition"].nunique() // _IN_A_LINE)
    top = Margins().top + 4 * (lines - 1)
    with canvas(ax, TEXT_WIDTH, 69 + top, Margins(left=15, right=right, top=top)) as ax:
        defined = table.dropna(subset=["effect"])
        if defined.empty:
            return message(ax, f"No layer can be tested: {table['reason'].iloc[0]}")
        if condition is None:
            _all_conditions(ax, defined)
        elif layer is None:
            _all_layers(ax, defined)
        else:
            _one_layer(ax, defined)
        if condition is not None:
            _margin(ax, defined)
            ax.set_ylabel("\n".join(filter(None, [layer, f"effect: {condition}"])))
        ax.set_xlabel(f"epoch ({len(results)} checkpoints)")
        legend_above(ax, _IN_A_LINE)
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


def _all_conditions(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(ratio=rows["effect"] / rows["margin"])
    span = float(np.ptp(rows["epoch"])) or 1.0
    conditions = unique(rows["condition"])
    for i, condition in enumerate(conditions):
        groups = rows[rows["condition"] == condition].groupby("epoch")["ratio"]
        low, middle, high = (groups.quantile(share) for share in (0.25, 0.5, 0.75))
        # Bars of different conditions side by side, not one upon another.
        x = middle.index + 0.004 * span * (i - (len(conditions) - 1) / 2)
        colour, marker = series_style(i)
        ax.vlines(x, low, high, color=colour, linewidth=0.8, alpha=0.6)
        ax.plot(x, middle, f"{marker}-", color=colour, markersize=3.5, label=condition)
    ax.axhline(1, color=GREY, linestyle=(0, (4, 2)), linewidth=0.8)
    ax.axhline(0, color=LINES, linewidth=0.5)
    ax.set_ylabel("effect / margin: median, quartiles")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
