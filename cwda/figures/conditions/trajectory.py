"""How the conditions in a network as a whole change along its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from cwda.arguments import name_of
from cwda.callbacks.trajectory import Trajectory
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.conditions_table import margin_text
from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    GREY,
    LINES,
    TEXT_WIDTH,
    VERDICTS,
    legend_above,
    message,
    series_style,
)
from cwda.figures.drawing.tables import choose, unique
from cwda.formatting import many
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["trajectory"]

#: Conditions in one line of the legend.
_IN_A_LINE = 6


def trajectory(
    source: Trajectory, condition: str | Named | None = None, *, ax: Axes | None = None
) -> Axes:
    """Effects in a network as a whole against the epoch.

    - With a condition: its effect with the interval, and the margin dashed. A marker shows the
      verdict: a disc holds, a diamond is inconclusive, a cross fails.
    - Without: the effect of each condition over its margin, with the interval as a bar. Below
      the dashed line at 1 an estimate lies within the margin.

    Parameters
    ----------
    source : Trajectory
        What `cwda.trajectory` or `cwda.callbacks.read_trajectory` gives, or a monitor has.
    condition : str, optional
        One condition.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If it is no trajectory, has no epochs, or lacks the condition.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> along = cwda.trajectory({0: net.select("layer1.*"), 10: net}, ["mean", "epsilon"])
    >>> cwda.figures.trajectory(along, "mean").get_ylabel()
    'effect: mean'
    """
    if not isinstance(source, Trajectory):
        raise CwdaError(
            "the figure needs what cwda.trajectory(...) gives, not an object of type "
            f"{type(source).__name__}"
        )
    if not source.rows:
        raise CwdaError("no epoch was recorded: there is nothing to draw")
    table = source.table
    if condition is not None:
        condition = name_of(condition)
        table = choose(table, "condition", condition)
    lines = 1 if condition is not None else -(-len(source.conditions) // _IN_A_LINE)
    top = Margins().top + 4 * (lines - 1)
    with canvas(ax, TEXT_WIDTH, 69 + top, Margins(left=17, right=3, top=top)) as ax:
        defined = table.dropna(subset=["effect"])
        if defined.empty:
            return message(ax, "No layer can be tested at any epoch")
        if condition is None:
            _all_conditions(ax, defined)
        else:
            _one_condition(ax, defined)
            ax.set_ylabel(f"effect: {condition}")
        ax.set_xlabel(f"epoch ({many(len(source.epochs), 'record')})")
        legend_above(ax, _IN_A_LINE)
        return ax


def _one_condition(ax: Axes, rows: pd.DataFrame) -> None:
    epochs, low, high = rows["epoch"], rows["effect_low"], rows["effect_high"]
    ax.fill_between(epochs, low, high, color=CYCLE[0], alpha=0.15, linewidth=0, label="interval")
    ax.vlines(epochs, low, high, color=CYCLE[0], linewidth=0.6, alpha=0.6)
    ax.plot(epochs, rows["effect"], color=CYCLE[0], linewidth=1)
    for verdict, style in VERDICTS.items():
        part = rows[rows["verdict"] == verdict]
        if len(part):
            ax.plot(
                part["epoch"],
                part["effect"],
                style.marker,
                color=style.line,
                markersize=5,
                markeredgecolor="white",
                markeredgewidth=0.4,
                label=f"{style.mark} {verdict}",
            )
    margins = rows["margin"]
    ax.plot(
        epochs,
        margins,
        color=DARK,
        linestyle=(0, (4, 2)),
        linewidth=0.8,
        label=f"margin {margin_text(margins)}",
    )
    ax.set_ylim(bottom=min(0.0, float(low.min())))


def _all_conditions(ax: Axes, rows: pd.DataFrame) -> None:
    conditions = unique(rows["condition"])
    span = float(np.ptp(rows["epoch"])) or 1.0
    for place, condition in enumerate(conditions):
        part = rows[rows["condition"] == condition]
        margin = part["margin"]
        # Bars of different conditions side by side, not one upon another.
        x = part["epoch"] + 0.004 * span * (place - (len(conditions) - 1) / 2)
        colour, marker = series_style(place)
        ax.vlines(
            x,
            part["effect_low"] / margin,
            part["effect_high"] / margin,
            color=colour,
            linewidth=0.8,
            alpha=0.6,
        )
        ax.plot(
            x, part["effect"] / margin, f"{marker}-", color=colour, markersize=3.5, label=condition
        )
    ax.axhline(1, color=GREY, linestyle=(0, (4, 2)), linewidth=0.8)
    ax.axhline(0, color=LINES, linewidth=0.5)
    ax.set_ylabel("effect / margin")
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
