"""Figures of a study, each of one condition: along training, by factor.

One function per figure, which draws on `ax=` or on a new figure and returns its Axes, as in
`cwda.figures`. `panels` draws one of them for every condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from cwda.arguments import name_of
from cwda.choices import JUDGED
from cwda.figures.drawing.canvas import Margins, canvas, empty_figure
from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    GREY,
    LINES,
    SMALL,
    UNDEFINED,
    VERDICTS,
    legend,
    styled,
)
from cwda.figures.drawing.tables import choose, unique
from cwda.study.effects import factor_effects, finished
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from cwda.study.result import StudyResult

__all__ = ["distance", "factor_levels", "factor_verdicts", "panels", "training"]

_COLOURS = (DARK, *CYCLE)
_SHOWN = tuple(verdict for verdict in VERDICTS if verdict in JUDGED)
_TRAINING = (
    ("base", "base"),
    ("initialisation", "kaiming_uniform"),
    ("initialisation", "orthogonal"),
    ("weight_decay", "0.01"),
    ("task", "random"),
    ("epochs", "x4"),
)
_WIDTH = 110.0


def training(
    result: StudyResult,
    condition: str | Named,
    *,
    arms: Sequence[tuple[str, str]] = _TRAINING,
    ax: Axes | None = None,
) -> Axes:
    """Median effect over the layers against the epoch: means over seeds, and each seed.

    Parameters
    ----------
    result : StudyResult
        What `cwda.study.run_study` returns.
    condition : str
        The condition to draw; the dashed line is its margin.
    arms : sequence of (factor, setting)
        Lines to draw; those that are not in the table are left out.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    CwdaError
        If the condition was not tested.
    """
    condition = name_of(condition)
    rows = choose(result.table, "condition", condition)
    shown = [arm for arm in arms if len(_of_arm(rows, *arm))]
    with canvas(ax, _WIDTH, 80) as panel:
        for colour, arm in zip(cycle(_COLOURS), shown, strict=False):
            own = _of_arm(rows, *arm)
            mean = own.groupby("epoch")["median_effect"].mean()
            panel.plot(mean.index, mean, color=colour, lw=1.6, label=_name(arm))
            panel.plot(own["epoch"], own["median_effect"], ".", color=colour, ms=5, alpha=0.6)
        _margin(panel.axhline, rows)
        panel.set_xscale("symlog", base=2, linthresh=1)
        ticks = sorted({epoch for arm in shown for epoch in _of_arm(rows, *arm)["epoch"]})
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.set_xlim(left=-0.2)
        panel.set_ylim(bottom=0)
        panel.set_xlabel("epoch")
        panel.set_ylabel("median effect")
        return _titled(panel, condition, ax is None)


def factor_levels(
    result: StudyResult, condition: str | Named, *, level: float = 0.95, ax: Axes | None = None
) -> Axes:
    """Median effect of each run at its last epoch, by factor level.

    Filled points are levels that differ from the base (`factor_effects`); the grey band is
    the base's mean and two standard deviations between seeds to either side, the dashed
    line the margin. Parameters as in `training`.
    """
    condition = name_of(condition)
    effects = choose(factor_effects(result, level=level).table, "condition", condition)
    levels = _levels(effects)
    factors = unique(factor for factor, _ in levels)
    table = effects.set_index(["factor", "setting"])
    rows = finished(result)
    rows = rows[rows["condition"] == condition]
    centre, spread = table.iloc[0]["effect"], 2 * table.iloc[0]["seed_sd"]
    with _list_of(levels, ax) as panel:
        panel.axvspan(centre - spread, centre + spread, color=UNDEFINED, lw=0)
        panel.axvline(centre, color=LINES, lw=0.8)
        for place, arm in enumerate(levels):
            values = _responses(rows, *arm)
            colour = _COLOURS[factors.index(arm[0]) % len(_COLOURS)]
            fill = colour if table.loc[arm, "change"] in ("larger", "smaller") else "white"
            panel.plot(values, [place] * len(values), "o", ms=5, color=colour, mfc=fill)
        _rows_of_names(panel, [_name(arm) for arm in levels])
        _margin(panel.axvline, rows)
        panel.set_xlim(left=0)
        panel.set_xlabel("median effect")
        return _titled(panel, condition, legends=False)


def factor_verdicts(result: StudyResult, condition: str | Named, *, ax: Axes | None = None) -> Axes:
    """Share of the layers in which a condition holds, is inconclusive, or fails, by factor level.

    Parameters as in `training`.
    """
    condition = name_of(condition)
    effects = choose(factor_effects(result).table, "condition", condition)
    levels = _levels(effects)
    with _list_of(levels, ax) as panel:
        _stack(panel, effects.set_index(["factor", "setting"]).loc[levels])
        _rows_of_names(panel, [_name(arm) for arm in levels])
        return _titled(panel, condition, ax is None)


def distance(result: StudyResult, condition: str | Named, *, ax: Axes | None = None) -> Axes:
    """Median effect of each finished run against how far its weights have turned.

    The dashed line is the margin. Parameters as in `training`.
    """
    condition = name_of(condition)
    rows = choose(finished(result), "condition", condition)
    rows = rows[rows["epoch"] == rows["last"]]
    with canvas(ax, _WIDTH, 80) as panel:
        for factor, colour, marker in zip(
            unique(rows["factor"]), cycle(_COLOURS), cycle("osD^v"), strict=False
        ):
            own = rows[rows["factor"] == factor]
            panel.plot(
                1 - own["kept"],
                own["median_effect"],
                marker,
                ms=5,
                c=colour,
                mfc=colour if factor == "base" else "none",
                label=factor.replace("_", " "),
            )
        _margin(panel.axhline, rows)
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
        panel.set_xlabel("1 - cosine with the initial weights")
        panel.set_ylabel("median effect")
        return _titled(panel, condition, ax is None)


def panels(
    draw: Callable[..., Axes],
    result: StudyResult,
    *,
    columns: int,
    height: float,
    ncols: int,
) -> Figure:
    """One of the figures above for every condition, side by side, with one legend for all.

    Parameters
    ----------
    draw : callable
        One of the functions of this module.
    result : StudyResult
        What it draws.
    columns : int
        Panels in a row; the panels of a row have one axis of names.
    height : float
        Height of a row of panels, in mm.
    ncols : int
        Columns of the legend.
    """
    conditions = unique(result.table["condition"])
    rows = -(-len(conditions) // columns)
    figure = empty_figure(190.0 if rows > 1 else 40.0 * columns, height * rows)
    figure.set_layout_engine("constrained")
    with styled():
        grid = figure.subplots(rows, columns, sharey=rows == 1, squeeze=False).flat
        for condition, ax in zip(conditions, grid, strict=False):
            draw(result, condition, ax=ax)
        for ax in figure.axes[len(conditions) :]:
            ax.remove()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=SMALL
        )
    return figure


def _responses(rows: pd.DataFrame, factor: str, setting: str) -> pd.Series:
    """Median effects of the runs of a level, as `factor_effects` takes them."""
    if factor == "epoch":
        rows = _of_arm(rows, "base", "base")
        return rows.loc[rows["epoch"] == int(setting), "median_effect"]
    own = _of_arm(rows, factor, setting)
    return own.loc[own["epoch"] == own["last"], "median_effect"]


def _of_arm(table: pd.DataFrame, factor: str, setting: str) -> pd.DataFrame:
    return table[(table["factor"] == factor) & (table["setting"] == setting)]


def _levels(effects: pd.DataFrame) -> list[tuple[str, str]]:
    """Factor levels, each factor's together, in the order of their first appearance."""
    arms = unique(zip(effects["factor"], effects["setting"], strict=True))
    factors = unique(factor for factor, _ in arms)
    return sorted(arms, key=lambda arm: factors.index(arm[0]))


def _name(arm: tuple[str, str]) -> str:
    return "base" if arm[0] == "base" else f"{arm[0]} {arm[1]}".replace("_", " ")


def _list_of(rows: Sequence[object], ax: Axes | None) -> AbstractContextManager[Axes]:
    """A canvas for a list of rows with their names on the left."""
    return canvas(ax, _WIDTH, 5.0 * len(rows) + 25, Margins(left=36, right=12))


def _rows_of_names(ax: Axes, names: list[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)


def _stack(ax: Axes, shares: pd.DataFrame) -> None:
    left = 0 * shares["holds"].to_numpy()
    for verdict in _SHOWN:
        width = shares[verdict].to_numpy()
        fill = VERDICTS[verdict].fill
        ax.barh(range(len(shares)), width, left=left, color=fill, height=0.8, label=verdict)
        left = left + width
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of layers")


def _margin(line: Callable[..., object], rows: pd.DataFrame) -> None:
    line(rows["margin"].iloc[0], color=GREY, ls="--", lw=0.9)


def _titled(ax: Axes, condition: str, legends: bool) -> Axes:
    ax.set_title(condition)
    if legends:
        legend(ax, loc="best")
    return ax
