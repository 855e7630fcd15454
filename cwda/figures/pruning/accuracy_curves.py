"""Accuracy against the share of filters pruned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.style import DARK, GREY, SMALL, TEXT_WIDTH, criterion_style, message
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.figures.drawing.text import name_network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["accuracy_curves"]

# How each stage is drawn: line, face of the marker (None: the criterion's colour), words.
_STAGES: dict[str, tuple[Literal["--", "-"], str | None, str]] = {
    "pruned": ("--", "white", "pruned"),
    "finetuned": ("-", None, "fine-tuned"),
}


def accuracy_curves(source: object, strategy: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Accuracy after pruning (dashed) and after fine-tuning (solid) against the ratio.

    One colour per criterion: points are means over the seeds, bands their range. A grey line is the
    network before pruning.

    Parameters
    ----------
    source : ExperimentResult or DataFrame
        What `cwda.experiment.run_experiment` returns, or its table; columns ``strategy,
        criterion, ratio, stage, accuracy``.
    strategy : str, optional
        "layerwise" or "global"; may be left out where the table has one only.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If it is not such a table, holds several networks, lacks the strategy, or has several.

    References
    ----------
    Huang et al. (2021), figure 3.

    Examples
    --------
    >>> import pandas as pd
    >>> from cwda.figures import accuracy_curves
    >>> row = {"strategy": "global", "criterion": "l2", "stage": "pruned", "seed": 0}
    >>> table = pd.DataFrame([row | {"ratio": 0.1, "accuracy": 90.0},
    ...                       row | {"ratio": 0.5, "accuracy": 60.0}])
    >>> [line.get_xdata().tolist() for line in accuracy_curves(table).lines]
    [[10.0, 50.0]]
    """
    columns = ("strategy", "criterion", "ratio", "stage", "accuracy")
    table = tidy(source, columns, "an experiment")
    cells = table[table["stage"] != "unpruned"]
    strategies = unique(cells["strategy"])
    if strategy is None and len(strategies) > 1:
        raise CwdaError(f"the table has several strategies; choose {' or '.join(strategies)}")
    if strategy is not None:
        cells = choose(cells, "strategy", strategy)
    with canvas(ax, TEXT_WIDTH, 84, Margins(left=13, right=34)) as ax:
        if not cells["accuracy"].notna().any():
            return message(ax, "No cell has an accuracy")
        before = table.loc[table["stage"] == "unpruned", "accuracy"]
        if len(before):
            ax.axhline(before.iloc[0], color=GREY, linewidth=0.6, zorder=0)
        criteria = unique(cells["criterion"])
        for place, criterion in enumerate(criteria):
            for stage, rows in cells[cells["criterion"] == criterion].groupby("stage"):
                _curve(ax, rows, str(stage), *criterion_style(criterion, place))
        ax.set_xlabel("filters pruned, in %")
        ax.set_ylabel("accuracy, in %")
        name_network(ax, table, strategy or (strategies[0] if strategies else ""))
        _legend(ax, criteria, unique(cells["stage"]), bool(len(before)))
        return ax


def _curve(ax: Axes, rows: pd.DataFrame, stage: str, colour: str, marker: str) -> None:
    """Means over the seeds as points, and their whole range as a band."""
    import seaborn as sns

    line, face, _ = _STAGES[stage]
    sns.lineplot(
        x=100 * rows["ratio"],
        y=rows["accuracy"],
        errorbar=("pi", 100),
        err_kws={"alpha": 0.15, "linewidth": 0},
        color=colour,
        linestyle=line,
        marker=marker,
        markersize=3.5,
        markeredgewidth=0.6,
        markeredgecolor=colour,
        markerfacecolor=face or colour,
        ax=ax,
    )


def _legend(ax: Axes, criteria: list[str], stages: list[str], before: bool) -> None:
    """Criteria and stages right of the Axes, where they cover nothing."""
    handles = []
    for place, criterion in enumerate(criteria):
        colour, marker = criterion_style(criterion, place)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=3.5, label=criterion))
    for stage, (line, face, words) in _STAGES.items():
        if stage in stages:
            handles.append(
                Line2D(
                    [],
                    [],
                    color=DARK,
                    linestyle=line,
                    marker="o",
                    markersize=3.5,
                    markeredgewidth=0.6,
                    markerfacecolor=face or DARK,
                    label=words,
                )
            )
    if before:
        handles.append(Line2D([], [], color=GREY, linewidth=0.6, label="before pruning"))
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        handlelength=2.2,
        fontsize=SMALL,
    )
