"""Layers as points in rows, with the quantiles of each row: the shared part of two figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from cwda.figures.drawing.style import CYCLE, DARK, LINES, SMALL, size_in_points, style_ticks
from cwda.population.tables import sample_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["height_of", "left_margin", "strips"]

#: Height of a row, and of all together, in mm.
_ROW, _HIGHEST = 6.0, 170.0

#: More points than this say no more, and make a vector graphic slow.
_MOST_POINTS = 4000


def height_of(rows: int) -> float:
    """Height of so many rows, in mm."""
    return min(_ROW * rows, _HIGHEST)


def left_margin(names: Sequence[str]) -> float:
    """Room for the names of the rows, in mm."""
    return 6 + 1.45 * max(map(len, names), default=0)


def strips(
    ax: Axes,
    rows: pd.DataFrame,
    value: str,
    by: str,
    names: Sequence[str],
    *,
    fewest: int = 1,
    size: float = 3.0,
    alpha: float = 0.35,
) -> None:
    """Values as points, one row of points per name, with quartiles and median on top.

    The quantiles count networks alike: the bar spans half of the layers, the line nine tenths.
    Fewer than `fewest` values have none.
    """
    import seaborn as sns

    shown = rows
    if len(rows) > _MOST_POINTS:
        shown = rows.sample(_MOST_POINTS, random_state=0)
    heights = {name: float(place) for place, name in enumerate(names)}
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(shown))
    sns.scatterplot(
        x=shown[value],
        y=shown[by].map(heights) + jitter,
        color=CYCLE[0],
        s=size,
        alpha=alpha,
        linewidth=0,
        ax=ax,
        zorder=1,
        rasterized=len(shown) > _MOST_POINTS // 4,
    )
    for place, name in enumerate(names):
        part = rows[rows[by] == name]
        if len(part) < fewest:
            continue
        low, left, middle, right, high = sample_of(part, 0.95).quantiles(
            part[value], [0.05, 0.25, 0.5, 0.75, 0.95]
        )
        ax.plot([low, high], [place, place], color=DARK, linewidth=0.7, zorder=2)
        ax.plot(
            [left, right], [place, place], color=DARK, linewidth=3, solid_capstyle="butt", zorder=3
        )
        ax.plot(middle, place, "o", color="white", markersize=3.2, markeredgecolor=DARK, zorder=4)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_ylabel("")
    style_ticks(ax)
    room = min(SMALL, 0.8 * size_in_points(ax)[1] / max(len(names), 1))
    ax.tick_params(axis="y", length=0, labelsize=max(room, 4.5))
    for place in range(len(names) - 1):
        ax.axhline(place + 0.5, color=LINES, linewidth=0.3, zorder=0)
