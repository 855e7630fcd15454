"""What global pruning takes from each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import (
    GREY,
    SMALL,
    TEXT_WIDTH,
    criterion_style,
    legend_above,
    message,
)
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["global_shares"]


def global_shares(
    source: object,
    ratio: float | None = None,
    *,
    rung: str | Named | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Share of each layer's filters that one global ranking prunes, predicted and measured.

    Lines with bands are predictions with their intervals, points are measurements, one colour per
    criterion. A grey line marks the ratio, where every layer would lose the same; layers in
    danger of being emptied have a triangle at the right edge.

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
    shares = ("share_predicted", "share_low", "share_high", "share_measured")
    columns = ("layer", "criterion", "ratio", *shares, "danger", "reason")
    table = tidy(source, columns, "global pruning")
    if "rung" in table.columns:
        rung = unique(table["rung"])[-1] if rung is None else name_of(rung)
        table = choose(table, "rung", rung)
    ratio = min(unique(table["ratio"]), key=lambda r: abs(r - 0.5)) if ratio is None else ratio
    rows = choose(table, "ratio", ratio)
    predicted = f" predicted, rung {rung}" if rung else " predicted"
    names, criteria = unique(rows["layer"]), unique(rows["criterion"])
    margins = layer_margins(names, right=13, top=12)
    with canvas(ax, TEXT_WIDTH, tall(len(names)) + margins.bottom + margins.top, margins) as ax:
        if not rows[["share_predicted", "share_measured"]].notna().any(axis=None):
            return message(ax, f"No layer has scores: {rows['reason'].iloc[0]}")
        ax.axvline(100 * ratio, color=GREY, linewidth=0.6)
        place = {name: i + 0.5 for i, name in enumerate(names)}
        offsets = np.linspace(-0.2, 0.2, len(criteria)) if len(criteria) > 1 else [0.0]
        for j, criterion in enumerate(criteria):
            part = rows[rows["criterion"] == criterion]
            colour, marker = criterion_style(criterion, j)
            y = part["layer"].map(place).to_numpy(dtype=np.float64)
            percent = 100 * part[list(shares)].to_numpy(dtype=np.float64)
            ax.fill_betweenx(y, percent[:, 1], percent[:, 2], color=colour, alpha=0.15, linewidth=0)
            ax.plot(percent[:, 0], y, color=colour, linewidth=1, label=f"{criterion}{predicted}")
            ax.plot(
                percent[:, 3],
                y + offsets[j],
                marker,
                color=colour,
                markersize=3.5,
                markeredgecolor="white",
                markeredgewidth=0.3,
                label="measured",
            )
            danger = y[_true(part["danger"])] + offsets[j]
            ax.plot(
                np.full(len(danger), 1.02),
                danger,
                "<",
                color=colour,
                markersize=3.5,
                clip_on=False,
                transform=ax.get_yaxis_transform(),
            )
        if _true(rows["danger"]).any():
            ax.text(1.02, 1, "danger", va="bottom", fontsize=SMALL, transform=ax.transAxes)
        label_layers(ax, names)
        ax.set_xlim(-1, 101)
        ax.set_xlabel(f"filters pruned at a global ratio of {100 * ratio:g} %, in % of the layer")
        legend_above(ax, len(criteria))
        return ax


def _true(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Where it is known to be true: a layer without scores has NA."""
    return np.asarray(column.astype("boolean").to_numpy(dtype=bool, na_value=False))
