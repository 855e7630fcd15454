"""Predictions against measurements, a point a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cwda.arguments import as_list
from cwda.errors import CwdaError
from cwda.figures.drawing.layers_axis import elide
from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    GREY,
    LINES,
    MM,
    SMALL,
    Margins,
    as_label,
    canvas,
    criterion_style,
    legend_above,
    say,
    size_in_points,
    text_width,
)
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.figures.matrices import MOST, fisher, unfisher

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dispersion", "predicted_measured"]

#: Points that are named.
NAMED = 4

_TICKS = (-0.9, -0.5, 0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)

_PREDICTED = ("predicted", "low", "high")

Array = npt.NDArray[np.float64]


def predicted_measured(
    source: object,
    pair: tuple[str, str] = ("l1", "l2"),
    rung: str = "scale",
    ax: Axes | None = None,
) -> Axes:
    """Predicted against measured rank correlation, a layer a point, with prediction intervals.

    Both axes are on Fisher's scale, atanh(rho), up to .9995. A layer departs from the model where
    its interval misses the diagonal by more than chance over all layers explains; those
    are red crosses, and the farthest are named.

    Parameters
    ----------
    source : object with `.table`, or DataFrame
        A comparison of predicted and measured similarity; columns ``layer, criterion_a,
        criterion_b, rung, measured, predicted, low, high, z, departs, reason``.
    pair : tuple of str
        The two criteria.
    rung : str
        The rung of the ladder that predicts.
    ax : Axes, optional
        Where to draw; a new figure of 100 mm by default.

    Raises
    ------
    CwdaError
        If it is no such table, holds several networks or methods, or has no such pair or rung.

    Examples
    --------
    >>> import pandas as pd
    >>> from cwda.figures import predicted_measured
    >>> row = {"layer": "conv", "criterion_a": "l1", "criterion_b": "l2", "rung": "scale",
    ...        "measured": 0.98, "predicted": 0.97, "low": 0.94, "high": 0.99, "z": 1.1,
    ...        "departs": False, "reason": ""}
    >>> predicted_measured(pd.DataFrame([row])).get_xlabel()
    "measured Spearman's ρ of l1 and l2"
    """
    columns = ("layer", "criterion_a", "criterion_b", "rung", "measured", "predicted")
    table = tidy(source, (*columns, "low", "high", "z", "departs", "reason"), "a comparison")
    table = choose(table, "rung", rung).copy()
    methods = unique(table["method"]) if "method" in table.columns else []
    if len(methods) > 1:
        raise CwdaError(
            f"the table holds {len(methods)} methods; draw one at a time, as "
            f"table[table['method'] == {methods[0]!r}]"
        )
    table["pair"] = _pair(table["criterion_a"], table["criterion_b"])
    names = as_list(pair, "criterion", CwdaError)
    rows = choose(table, "pair", "-".join(sorted(names)))
    defined = rows.dropna(subset=["measured", "predicted"]).copy()
    numbers = ["measured", *_PREDICTED]
    defined[numbers] = defined[numbers].clip(-MOST, MOST)
    with canvas(ax, 100, 86, Margins(left=16)) as ax:
        if defined.empty:
            return say(ax, f"No layer can be compared: {rows['reason'].iloc[0]}")
        _fisher_axes(ax, defined)
        departs = defined["departs"].astype("boolean").to_numpy(dtype=bool, na_value=False)
        for which, colour, marker, label in (
            (~departs, CYCLE[0], "o", "agrees with the model"),
            (departs, CYCLE[1], "X", "departs from it"),
        ):
            part = defined[which]
            if len(part):
                x = part["measured"]
                ax.vlines(x, part["low"], part["high"], color=colour, linewidth=0.6, alpha=0.5)
                ax.plot(
                    x,
                    part["predicted"],
                    marker,
                    color=colour,
                    markersize=4,
                    markeredgecolor="white",
                    markeredgewidth=0.4,
                    label=f"{label} ({len(part)})",
                )
        worst = defined[departs].sort_values("z", key=abs, ascending=False)[:NAMED]
        points = defined[["measured", "predicted"]].to_numpy(dtype=np.float64)
        _name(ax, worst["measured"], worst["predicted"], worst["layer"], points)
        ax.set_xlabel(f"measured Spearman's ρ of {names[0]} and {names[1]}")
        ax.set_ylabel(f"predicted with interval, rung {rung}")
        legend_above(ax, 2)
        return ax


def _pair(a: pd.Series, b: pd.Series) -> list[str]:
    return ["-".join(sorted(both)) for both in zip(a, b, strict=True)]


def _fisher_axes(ax: Axes, rows: pd.DataFrame) -> None:
    """Both axes on Fisher's scale over one range, and the diagonal."""
    values = fisher(rows[["measured", *_PREDICTED]].to_numpy(dtype=np.float64))
    low, high = np.nanmin(values), np.nanmax(values)
    pad = max(0.05 * (high - low), 0.05)
    limits = unfisher(np.array([low - pad, high + pad]))
    points = size_in_points(ax)[0]
    ticks = _spaced([t for t in _TICKS if limits[0] <= t <= limits[1]], limits, points)
    for axis, scale, set_limits in (
        (ax.xaxis, ax.set_xscale, ax.set_xlim),
        (ax.yaxis, ax.set_yscale, ax.set_ylim),
    ):
        scale("function", functions=(fisher, unfisher))
        set_limits(*limits)
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    ax.plot(limits, limits, color=LINES, linewidth=0.8, zorder=0)


def _spaced(ticks: list[float], limits: Array, points: float) -> list[float]:
    """Those ticks whose labels do not touch, kept from the highest down."""
    span = fisher(limits[1]) - fisher(limits[0])
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or (fisher(kept[-1]) - fisher(tick)) / span * points > 4 * SMALL:
            kept.append(tick)
    return kept[::-1]


def dispersion(source: object, criterion: str = "l2", ax: Axes | None = None) -> Axes:
    """Predicted against measured coefficient of variation of a score, a layer a point.

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
        If it is no such table, holds several networks, or has no such criterion.

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
    rows = choose(tidy(source, columns, "a table of applicability"), "criterion", criterion)
    defined = rows[(rows["cv"] > 0) & (rows["cv_predicted"] > 0)]
    margins = Margins(right=3 + text_width(["× 10"]))
    with canvas(ax, 100, 86, margins) as ax:
        if defined.empty:
            return say(ax, f"No layer has a dispersion: {rows['reason'].iloc[0]}")
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
        _name(ax, worst["cv"], worst["cv_predicted"], worst["layer"], points)
        ax.set_xlabel(f"measured CV of the {criterion} score")
        ax.set_ylabel("predicted CV")
        legend_above(ax, 2)
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


def _name(ax: Axes, x: pd.Series, y: pd.Series, names: pd.Series, points: Array) -> None:
    """Names beside, above or below points, where they cover the fewest others and no name."""
    to_pixels = ax.transData.transform
    scale = ax.figure.dpi / 72
    height = 1.1 * SMALL
    marks = to_pixels(points) / scale
    left, right = ax.bbox.x0 / scale, ax.bbox.x1 / scale
    taken = np.empty((0, 2))
    for at, name in zip(zip(x, y, strict=True), elide(list(names)), strict=True):
        width = text_width([as_label(name)], SMALL - 1) * MM * 72
        point = to_pixels(at) / scale
        room = left + width / 2 - point[0], right - width / 2 - point[0]
        aside, inside = 4 + width / 2, float(np.clip(0, *room))
        offsets = [(aside, 0.0), (-aside, 0.0)]
        offsets += [(inside, lines * height) for lines in (1, -1, 2, -2)]
        free = [
            offset
            for offset in offsets
            if room[0] <= offset[0] <= room[1] and not _within(taken, point + offset, width, height)
        ]
        if not free:
            continue
        hits = [_within(marks, point + offset, width / 2, height / 2) for offset in free]
        best = free[int(np.argmin(hits))]
        taken = np.vstack([taken, point + best])
        ax.annotate(
            as_label(name),
            at,
            best,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SMALL - 1,
            color=DARK,
        )


def _within(points: Array, centre: Array, width: float, height: float) -> int:
    """How many points lie within a distance of a centre, across and along."""
    return int((np.abs(points - centre) < (width, height)).all(axis=1).sum())
