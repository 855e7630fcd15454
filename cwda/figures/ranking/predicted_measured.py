"""Predicted rank correlations against measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cwda.arguments import as_list, name_of
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.coefficients import MOST, fisher, unfisher
from cwda.figures.drawing.point_names import NAMED, name_points
from cwda.figures.drawing.style import CYCLE, LINES, SMALL, legend_above, message, size_in_points
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.figures.drawing.text import name_network
from cwda.theory.rungs import SCALE
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["predicted_measured"]

_TICKS = (-0.9, -0.5, 0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)

_PREDICTED = ("predicted", "low", "high")

Array = npt.NDArray[np.float64]


def predicted_measured(
    source: object,
    pair: tuple[str | Named, str | Named] = ("l1", "l2"),
    *,
    rung: str | Named = SCALE,
    ax: Axes | None = None,
) -> Axes:
    """Predicted against measured rank correlation, one point per layer, with intervals.

    Both axes are on Fisher's scale, atanh(rho), up to .9995. A layer departs from the model where
    its interval misses the diagonal by more than chance over all layers explains; those
    are red crosses, and the farthest are named.

    Parameters
    ----------
    source : object with `.table`, or DataFrame
        A comparison of predicted and measured similarity; columns ``layer, criterion_a,
        criterion_b, rung, measured, predicted, low, high, z, departs, reason``.
    pair : tuple of str or Criterion
        The two criteria.
    rung : str or Rung
        The rung of the ladder that predicts.
    ax : Axes, optional
        Where to draw; a new figure of 100 mm by default.

    Raises
    ------
    CwdaError
        If it is not such a table, holds several networks or methods, or lacks the pair or rung.

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
    rung = name_of(rung)
    table = choose(table, "rung", rung).copy()
    methods = unique(table["method"]) if "method" in table.columns else []
    if len(methods) > 1:
        raise CwdaError(
            f"the table holds {len(methods)} methods; draw one at a time, such as "
            f"table[table['method'] == {methods[0]!r}]"
        )
    table["pair"] = _pair(table["criterion_a"], table["criterion_b"])
    names = as_list(pair, "criterion", CwdaError)
    if len(names) != 2:
        raise CwdaError(f"a pair is two criteria, not {len(names)}")
    rows = choose(table, "pair", "-".join(sorted(names)))
    defined = rows.dropna(subset=["measured", "predicted"]).copy()
    numbers = ["measured", *_PREDICTED]
    defined[numbers] = defined[numbers].clip(-MOST, MOST)
    with canvas(ax, 100, 90, Margins(left=16, top=11)) as ax:
        if defined.empty:
            return message(ax, f"No layer can be compared: {rows['reason'].iloc[0]}")
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
        name_points(ax, worst["measured"], worst["predicted"], worst["layer"], points)
        ax.set_xlabel(f"measured Spearman's ρ of {names[0]} and {names[1]}")
        ax.set_ylabel(f"predicted with interval, rung {rung}")
        name_network(ax, rows, lines=legend_above(ax, 2))
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
