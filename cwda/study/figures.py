"""Figures of a study: effects along training, by factor, and of trained networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    GREY,
    LINES,
    SMALL,
    UNDEFINED,
    VERDICTS,
    empty_figure,
    plain,
    styled,
)
from cwda.study.effects import finished

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cwda.study.run import StudyResult

__all__ = ["plot_distance", "plot_factors", "plot_networks", "plot_training", "plot_verdicts"]

_COLOURS = (DARK, *CYCLE)
_SHOWN = ("holds", "inconclusive", "fails")
_TRAINING = (
    ("base", "base"),
    ("initialisation", "kaiming_uniform"),
    ("initialisation", "orthogonal"),
    ("weight_decay", "0.01"),
    ("task", "random"),
    ("epochs", "x4"),
)


def plot_training(summary: pd.DataFrame, arms: Sequence[tuple[str, str]] = _TRAINING) -> Figure:
    """Median effect over the layers against the epoch: means over seeds, and each seed.

    Parameters
    ----------
    summary : DataFrame
        Of a `StudyResult`.
    arms : sequence of (factor, level)
        Lines to draw; those that are not in the table are left out.

    Returns
    -------
    Figure
        One panel per condition; the dashed line is the margin.
    """
    figure, panels = _panels(summary, 3, (190.0, 57.5))
    shown = [arm for arm in arms if len(_of_arm(summary, *arm))]
    for condition, ax in panels.items():
        rows = summary[summary["condition"] == condition]
        for colour, arm in zip(_COLOURS, shown, strict=False):
            own = _of_arm(rows, *arm)
            mean = own.groupby("epoch")["median_effect"].mean()
            label = "base" if arm[0] == "base" else " ".join(arm).replace("_", " ")
            ax.plot(mean.index, mean, color=colour, lw=1.6, label=label)
            ax.plot(own["epoch"], own["median_effect"], ".", color=colour, ms=5, alpha=0.6)
        ax.axhline(_margin(rows), color=GREY, ls="--", lw=0.9)
        ax.set_xscale("symlog", base=2, linthresh=1)
        ticks = sorted({epoch for arm in shown for epoch in _of_arm(summary, *arm)["epoch"]})
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.set_xlim(left=-0.2)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("epoch")
        ax.set_ylabel("median effect")
    _legend_below(figure, panels, 3)
    return figure


def plot_factors(effects: pd.DataFrame, result: StudyResult) -> Figure:
    """Median effect of each run at its last epoch, by factor level.

    Filled points are levels that differ from the base (`factor_effects`); the grey band is
    the base's mean and two standard deviations between seeds to either side, the dashed
    line the margin.
    """
    levels = _levels(effects)
    factors = list(dict.fromkeys(factor for factor, _ in levels))
    figure, panels = _row_of_panels(effects, 5.0 * len(levels) + 25)
    for condition, ax in panels.items():
        table = effects[effects["condition"] == condition].set_index(["factor", "level"])
        rows = finished(result)
        rows = rows[rows["condition"] == condition]
        centre, spread = table.iloc[0]["effect"], 2 * table.iloc[0]["seed_sd"]
        ax.axvspan(centre - spread, centre + spread, color=UNDEFINED, lw=0)
        ax.axvline(centre, color=LINES, lw=0.8)
        for place, arm in enumerate(levels):
            values = _responses(rows, *arm)
            colour = _COLOURS[factors.index(arm[0]) % len(_COLOURS)]
            fill = colour if table.loc[arm, "change"] in ("larger", "smaller") else "white"
            ax.plot(values, [place] * len(values), "o", ms=5, color=colour, mfc=fill)
        _rows_of_names(ax, [_name(arm) for arm in levels])
        ax.axvline(_margin(rows), color=GREY, ls="--", lw=0.9)
        ax.set_xlim(left=0)
        ax.set_xlabel("median effect")
    return figure


def _responses(rows: pd.DataFrame, factor: str, level: str) -> pd.Series:
    """Median effects of the runs of a level, as `factor_effects` takes them."""
    if factor == "epoch":
        rows = _of_arm(rows, "base", "base")
        return rows.loc[rows["epoch"] == int(level), "median_effect"]
    own = _of_arm(rows, factor, level)
    return own.loc[own["epoch"] == own["last"], "median_effect"]


def plot_verdicts(effects: pd.DataFrame) -> Figure:
    """Share of the layers in which each condition holds, is inconclusive, or fails."""
    levels = _levels(effects)
    figure, panels = _row_of_panels(effects, 5.0 * len(levels) + 30)
    for condition, ax in panels.items():
        rows = effects[effects["condition"] == condition].set_index(["factor", "level"])
        _stack(ax, rows.loc[levels])
        _rows_of_names(ax, [_name(arm) for arm in levels])
    _verdict_legend(figure, next(iter(panels.values())))
    return figure


def plot_distance(result: StudyResult) -> Figure:
    """Median effect of each finished run against how far its weights have turned.

    The dashed line is the margin.
    """
    rows = finished(result)
    figure, panels = _panels(rows, 3, (190.0, 60.0))
    rows = rows[rows["epoch"] == rows["last"]]
    factors = list(dict.fromkeys(rows["factor"]))
    for condition, ax in panels.items():
        for factor, colour, marker in zip(factors, cycle(_COLOURS), cycle("osD^v"), strict=False):
            own = rows[(rows["condition"] == condition) & (rows["factor"] == factor)]
            fill = colour if factor == "base" else "none"
            label = factor.replace("_", " ")
            ax.plot(
                1 - own["kept"], own["median_effect"], marker, ms=5, c=colour, mfc=fill, label=label
            )
        ax.axhline(_margin(rows[rows["condition"] == condition]), color=GREY, ls="--", lw=0.9)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_xlabel("1 - cosine with the initial weights")
        ax.set_ylabel("median effect")
    _legend_below(figure, panels, 6)
    return figure


def plot_networks(evidence: pd.DataFrame) -> Figure:
    """Verdicts (bars) and median effects (numbers) of trained networks."""
    names = list(dict.fromkeys(evidence["network"]))
    figure, panels = _row_of_panels(evidence, 6.0 * len(names) + 30)
    for condition, ax in panels.items():
        rows = evidence[evidence["condition"] == condition].set_index("network").loc[names]
        tested = rows[list(_SHOWN)].sum(axis=1)
        _stack(ax, rows[list(_SHOWN)].div(tested, axis=0))
        for place, effect in enumerate(rows["median_effect"]):
            ax.text(1.03, place, f"{effect:.3f}", va="center", fontsize=SMALL)
        _rows_of_names(ax, names)
    _verdict_legend(figure, next(iter(panels.values())))
    return figure


def _panels(
    table: pd.DataFrame, columns: int, size: tuple[float, float], **kwargs: Any
) -> tuple[Figure, dict[str, Axes]]:
    """A panel for each condition of a table; `size` is the width and the height of a row."""
    conditions = list(dict.fromkeys(table["condition"]))
    rows = max(math.ceil(len(conditions) / columns), 1)
    figure = empty_figure(size[0], size[1] * rows)
    figure.set_layout_engine("constrained")
    with styled():
        axes = list(figure.subplots(rows, columns, squeeze=False, **kwargs).flat)
        for ax in axes[len(conditions) :]:
            ax.remove()
        panels = dict(zip(conditions, axes, strict=False))
        for condition, ax in panels.items():
            ax.set_title(condition)
            plain(ax)
    return figure, panels


def _row_of_panels(table: pd.DataFrame, height: float) -> tuple[Figure, dict[str, Axes]]:
    """All panels in one row, which share their names at the left."""
    columns = max(table["condition"].nunique(), 1)
    return _panels(table, columns, (40.0 * columns, height), sharey=True)


def _margin(rows: pd.DataFrame) -> float:
    """The margin of a condition."""
    return float(rows["margin"].iloc[0])


def _of_arm(table: pd.DataFrame, factor: str, level: str) -> pd.DataFrame:
    return table[(table["factor"] == factor) & (table["level"] == level)]


def _levels(effects: pd.DataFrame) -> list[tuple[str, str]]:
    """Factor levels, each factor's together, in the order of their first appearance."""
    arms = list(dict.fromkeys(zip(effects["factor"], effects["level"], strict=True)))
    factors = list(dict.fromkeys(factor for factor, _ in arms))
    return sorted(arms, key=lambda arm: factors.index(arm[0]))


def _name(arm: tuple[str, str]) -> str:
    return "base" if arm[0] == "base" else f"{arm[0]} {arm[1]}".replace("_", " ")


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


def _verdict_legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL
    )


def _legend_below(figure: Figure, panels: Mapping[str, Axes], ncols: int) -> None:
    """One legend for panels that all show the same lines."""
    handles, labels = next(iter(panels.values())).get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=SMALL
    )
