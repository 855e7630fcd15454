"""Predicted dispersion of the scores against the measured one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.point_names import NAMED, name_points
from cwda.figures.drawing.style import GREY, LINES, SMALL, criterion_style, legend_above, message
from cwda.figures.drawing.tables import choose, tidy
from cwda.figures.drawing.text import name_network, text_width
from cwda.typing import Named

if TYPE_CHECKING:
    pass

__all__ = ["dispersion"]

Array = npt.NDArray[np.float64]


def dispersion(source: object, criterion: str | Named = "l2", *, ax: Axes | None = None) -> Axes:
    """Predicted against measured coefficient of variation of a score, one point per layer.

    Filled points are CWDA's prediction, hollow ones that of filters of unequal scale. The
    diagonal is agreement; the grey lines are measured dispersions of 2, 5, 10 and 20 times
    the predicted one. The layers with the largest ratio are named.

    Parameters
    ----------
    source : object with `.table`, or DataFrame
        A table of applicability; columns ``layer, criterion, cv, cv_predicted, cv_scale,
        cv_ratio, reason``.
    criterion : str
        The score.
    ax : Axes, optional
        Where to draw; a new figure of 100 mm by default.

    Raises
    ------
    CwdaError
        If it is not such a table, holds several networks, or has no such criterion.

    Examples
    --------
    >>> import pandas as pd
    >>> from cwda.figures import dispersion
    >>> row = {"layer": "conv", "criterion": "l2", "cv": 0.3, "cv_predicted": 0.03,
    ...        "cv_scale": 0.28, "cv_ratio": 10.0, "reason": ""}
    >>> dispersion(pd.DataFrame([row])).get_xlabel()
    'measured CV of the l2 score'
    """
    columns = ("layer", "criterion", "cv", "cv_predicted", "cv_scale", "cv_ratio", "reason")
    criterion = name_of(criterion)
    rows = choose(tidy(source, columns, "a table of applicability"), "criterion", criterion)
    defined = rows[(rows["cv"] > 0) & (rows["cv_predicted"] > 0)]
    margins = Margins(right=3 + text_width(["× 10"]), top=11)
    with canvas(ax, 100, 90, margins) as ax:
        if defined.empty:
            return message(ax, f"No layer has a dispersion: {rows['reason'].iloc[0]}")
        colour, marker = criterion_style(criterion)
        x = defined["cv"].to_numpy(dtype=np.float64)
        y = defined["cv_predicted"].to_numpy(dtype=np.float64)
        mixture = defined["cv_scale"].to_numpy(dtype=np.float64)
        _log_axes(ax, np.concatenate([x, y, mixture[np.isfinite(mixture) & (mixture > 0)]]))
        ax.vlines(x, y, mixture, color=LINES, linewidth=0.5)
        ax.plot(
            x,
            mixture,
            marker,
            color=colour,
            markerfacecolor="white",
            markeredgewidth=0.8,
            markersize=3.5,
            label="filters of unequal scale",
        )
        ax.plot(
            x,
            y,
            marker,
            color=colour,
            markersize=4,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label="CWDA",
        )
        worst = defined.sort_values("cv_ratio", ascending=False)[:NAMED]
        points = np.column_stack([np.tile(x, 2), np.concatenate([y, mixture])])
        name_points(ax, worst["cv"], worst["cv_predicted"], worst["layer"], points)
        ax.set_xlabel(f"measured CV of the {criterion} score")
        ax.set_ylabel("predicted CV")
        name_network(ax, rows, lines=legend_above(ax, 2))
        return ax


def _log_axes(ax: Axes, values: Array) -> None:
    """Equal logarithmic axes with lines of equal ratio, labelled at the right edge."""
    low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ticks = [base * 10**power for power in range(-4, 3) for base in (1.0, 2.0, 5.0)]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    for ratio in (1, 2, 5, 10, 20):
        if high / ratio > 1.1 * low:
            ax.plot(
                [low * ratio, high],
                [low, high / ratio],
                color=GREY if ratio == 1 else LINES,
                linewidth=0.8 if ratio == 1 else 0.5,
                zorder=0,
            )
            ax.annotate(
                "equal" if ratio == 1 else f"× {ratio}",
                (high, high / ratio),
                (2, 0),
                textcoords="offset points",
                va="center",
                fontsize=SMALL,
                color=GREY,
                annotation_clip=False,
            )
