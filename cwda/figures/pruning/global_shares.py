"""What global pruning takes from each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import (
    DARK,
    FONT,
    GREY,
    LINES,
    SMALL,
    TEXT_WIDTH,
    criterion_style,
    message,
    size_in_points,
)
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.figures.drawing.text import as_label, name_network
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["global_shares"]

Array = npt.NDArray[np.float64]

_SHARES = ("share_predicted", "share_low", "share_high", "share_measured")

#: Width of a lane's scale, of 1 from one lane to the next.
_WIDTH = 0.84

#: Points between the 100 of one lane and the 0 of the next.
_APART = 10.0


def global_shares(
    source: object,
    ratio: float | None = None,
    *,
    rung: str | Named | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of each layer's filters that one global ranking prunes, predicted and measured.

    Each criterion has a lane from 0 to 100 %. Its bars are the shares measured, its lines the
    predictions with their intervals. A grey line marks the ratio, where every layer would lose
    the same; a layer that is predicted to be in danger of being emptied has a triangle at the
    right edge of the lane.

    Parameters
    ----------
    source : object with `.table`, or DataFrame
        A table of global pruning; columns ``layer, criterion, ratio, share_predicted,
        share_low, share_high, share_measured, danger, reason``.
    ratio : float, optional
        The pruning ratio; by default that of the table which is nearest to one half.
    rung : str or Rung, optional
        The rung that predicts; by default the last of the table, which knows most.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the layers need, by default.

    Raises
    ------
    CwdaError
        If it is not such a table, holds several networks, or lacks the ratio or rung.

    Examples
    --------
    >>> import pandas as pd
    >>> from cwda.figures import global_shares
    >>> row = {"layer": "conv", "criterion": "l2", "ratio": 0.5, "share_predicted": 0.4,
    ...        "share_low": 0.3, "share_high": 0.5, "share_measured": 0.45, "danger": False,
    ...        "reason": ""}
    >>> global_shares(pd.DataFrame([row])).get_xlabel()
    'filters pruned at a global ratio of 50 %, in % of the layer'
    """
    columns = ("layer", "criterion", "ratio", *_SHARES, "danger", "reason")
    table = tidy(source, columns, "global pruning")
    if "rung" in table.columns:
        rung = unique(table["rung"])[-1] if rung is None else name_of(rung)
        table = choose(table, "rung", rung)
    ratio = min(unique(table["ratio"]), key=lambda r: abs(r - 0.5)) if ratio is None else ratio
    rows = choose(table, "ratio", ratio)
    predicted = f"predicted with interval, rung {rung}" if rung else "predicted with interval"
    names, criteria = unique(rows["layer"]), unique(rows["criterion"])
    margins = layer_margins(names, right=5, top=17)
    with canvas(ax, TEXT_WIDTH, tall(len(names)) + margins.bottom + margins.top, margins) as ax:
        if not rows[["share_predicted", "share_measured"]].notna().any(axis=None):
            return message(ax, f"No layer has scores: {rows['reason'].iloc[0]}")
        place = {name: i + 0.5 for i, name in enumerate(names)}
        for lane, criterion in enumerate(criteria):
            part = rows[rows["criterion"] == criterion]
            y = part["layer"].map(place).to_numpy(dtype=np.float64)
            _lane(ax, lane, criterion, y, part)
            ax.axvline(lane + _WIDTH * ratio, color=GREY, linewidth=0.6)
        label_layers(ax, names)
        _lane_ticks(ax, len(criteria))
        ax.set_xlabel(f"filters pruned at a global ratio of {100 * ratio:g} %, in % of the layer")
        _legend(ax, predicted, danger=bool(_true(rows["danger"]).any()))
        name_network(ax, rows, lines=2)
        return ax


def _lane(ax: Axes, lane: int, criterion: str, y: Array, part: pd.DataFrame) -> None:
    """The bars, lines and triangles of one criterion, and its name above them."""
    colour, _ = criterion_style(criterion, lane)
    shares = part[list(_SHARES)].to_numpy(dtype=np.float64)
    predicted, low, high, measured = (lane + _WIDTH * shares).T
    ax.barh(y, measured - lane, 0.76, left=lane, color=colour, alpha=0.5, linewidth=0)
    ax.hlines(y, low, high, color=DARK, linewidth=0.8)
    ax.plot(predicted, y, "|", color=DARK, markersize=4, markeredgewidth=0.8)
    danger = y[_true(part["danger"])]
    ax.plot(np.full(len(danger), lane + _WIDTH + 0.03), danger, "<", color=DARK, markersize=3)
    ax.axvline(lane, color=LINES, linewidth=0.6)
    ax.annotate(
        as_label(criterion),
        (lane, 1),
        (0, 2),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontweight="bold",
        color=colour,
        fontsize=SMALL,
    )


def _lane_ticks(ax: Axes, lanes: int) -> None:
    """0, 50 and 100 % of each lane; the last where it does not run into the next lane's 0."""
    ax.set_xlim(0, lanes)
    room = size_in_points(ax)[0] / lanes * (1 - _WIDTH)
    shown = [0, 50, 100] if room > _APART else [0, 50]
    at = [lane + _WIDTH * tick / 100 for lane in range(lanes) for tick in shown]
    ax.set_xticks(at, [str(tick) for tick in shown] * lanes, fontfamily=FONT)


def _legend(ax: Axes, predicted: str, *, danger: bool) -> None:
    handles = [
        Patch(facecolor=GREY, alpha=0.5, label="measured"),
        Line2D([], [], color=DARK, linewidth=0.8, marker="|", markersize=4, label=predicted),
    ]
    if danger:
        marker = Line2D([], [], color=DARK, marker="<", markersize=3, linewidth=0)
        marker.set_label("danger: may lose all")
        handles.append(marker)
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        bbox_transform=ax.transAxes + ScaledTranslation(0, 10 / 72, ax.figure.dpi_scale_trans),
        ncols=3,
        borderaxespad=0.2,
        handlelength=1.4,
        columnspacing=1.4,
    )


def _true(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Where it is known to be true: a layer without scores has NA."""
    return np.asarray(column.astype("boolean").to_numpy(dtype=bool, na_value=False))
