"""What differs between two networks, such as before and after fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from cwda.conditions.whole.contrast_result import Contrast
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.columns import Head, write_columns
from cwda.figures.drawing.margins_axis import margins_axis
from cwda.figures.drawing.style import (
    DARK,
    FONT,
    GREY,
    LINES,
    TEXT_WIDTH,
    VERDICTS,
    legend_above,
    message,
    style_ticks,
)
from cwda.figures.drawing.text import set_title, text_width
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["contrast"]

#: A difference looks like the verdict that it would be.
_STYLES = {"differs": "fails", "same": "holds", "unsettled": "inconclusive"}

#: Height of a condition, in mm.
_ROW = 6.0


def contrast(source: Contrast, *, ax: Axes | None = None) -> Axes:
    """Change of each condition from one network to another, with its interval, by layer too.

    The unit is the largest change that counts as negligible. An interval within the grey strip is
    the same in both networks, one that excludes 0 differs, any other is unsettled. Grey ticks are
    the layers that both networks have. The axis is linear around 0 and logarithmic beyond.

    Parameters
    ----------
    source : Contrast
        What `cwda.contrast` gives.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the conditions need, by default. The
        effects and the verdict stand right of the Axes, which takes 52 mm.

    Raises
    ------
    CwdaError
        If it is something else.

    Examples
    --------
    >>> import cwda
    >>> found = cwda.contrast("resnet20-cifar10:init", "resnet20-cifar10", ["mean", "epsilon"])
    >>> cwda.figures.contrast(found).get_title(loc="left")
    'resnet20-cifar10, compared with resnet20-cifar10:init'
    """
    if not isinstance(source, Contrast):
        raise CwdaError(
            "the figure needs what cwda.contrast(...) gives, not an object of type "
            f"{type(source).__name__}"
        )
    table, names = source.table, [row.condition for row in source]
    first, second = (network.name for network in source.networks)
    margins = Margins(left=5 + text_width(names), right=54, top=15)
    with canvas(ax, TEXT_WIDTH, _ROW * len(names) + margins.bottom + margins.top, margins) as ax:
        if table["difference"].isna().all():
            return message(ax, "No condition can be compared")
        _draw(ax, table, _layers(source))
        ax.set_ylabel("")
        ax.set_yticks(range(len(names)), names, fontfamily=FONT)
        ax.set_ylim(len(names) - 0.5, -0.5)
        style_ticks(ax)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("change, in multiples of the margin (grey; beyond it logarithmic)")
        lines = legend_above(ax, 2)
        set_title(ax, second, f", compared with {first}", lines=lines)
        _columns(ax, table)
        return ax


def _layers(source: Contrast) -> pd.DataFrame:
    """The change in each layer that both networks have, in multiples of the margin."""
    margins = {row.condition: row.margin for row in source}
    table = source.layer_table
    change = (table["effect_b"] - table["effect_a"]) / table["condition"].map(margins)
    return table.assign(change=change.astype(float)).dropna(subset=["change"])


def _draw(ax: Axes, table: pd.DataFrame, layers: pd.DataFrame) -> None:
    numbers = table[["difference_low", "difference", "difference_high"]].to_numpy(dtype=np.float64)
    numbers = numbers / table[["margin"]].to_numpy(dtype=np.float64)
    extent = np.concatenate([numbers[np.isfinite(numbers)], layers["change"]])
    margins_axis(ax, min(float(extent.min()), -1.5), max(float(extent.max()), 1.5))
    ax.axvspan(-1, 1, color=LINES, alpha=0.35, linewidth=0, zorder=0)
    ax.axvline(0, color=DARK, linewidth=0.8, zorder=0)
    if len(layers):
        rows = layers["condition"].map({name: row for row, name in enumerate(table["condition"])})
        ax.plot(layers["change"], rows, "|", color=GREY, markersize=6, markeredgewidth=0.6,
                alpha=0.6, zorder=1, label="a layer")  # fmt: skip
    shown = "both networks, with interval"
    for place, (verdict, (low, middle, high)) in enumerate(
        zip(table["verdict"], numbers, strict=True)
    ):
        if not np.isfinite(middle):
            continue
        style = VERDICTS[_STYLES[verdict]]
        ax.hlines(place, low, high, color=style.line, linewidth=1.6, zorder=2)
        ax.plot(middle, place, style.marker, color=style.line, markersize=5, zorder=3,
                markeredgecolor="white", markeredgewidth=0.4)  # fmt: skip
    ax.plot([], [], "o-", color=DARK, markersize=4, label=shown)


def _columns(ax: Axes, table: pd.DataFrame) -> None:
    heads: list[Head] = [("", 6, "left"), ("first", 100, "right"), ("second", 134, "right")]
    rows = [(row.verdict, number(row.effect_a), number(row.effect_b)) for row in table.itertuples()]
    colours = [VERDICTS[_STYLES.get(verdict, verdict)].word for verdict in table["verdict"]]
    write_columns(ax, heads, rows, colours)
