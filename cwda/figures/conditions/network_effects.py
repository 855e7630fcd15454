"""The conditions in the network as a whole, with the numbers beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.columns import Head, write_columns
from cwda.figures.drawing.layers_axis import tall
from cwda.figures.drawing.style import (
    DARK,
    FONT,
    LINES,
    TEXT_WIDTH,
    VERDICTS,
    style_ticks,
)
from cwda.figures.drawing.tables import tidy
from cwda.figures.drawing.text import set_title, text_width
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["network_effects"]

_COLUMNS = ("condition", "effect", "effect_low", "effect_high", "margin", "verdict")
_COUNTS = ("layers", "holds")

#: Multiples of the margin that have a tick where the axis ends below and beyond `_FAR`.
_TICKS_NEAR, _TICKS_FAR, _FAR = (0, 0.5, 1, 2, 5, 10, 20), (0, 1, 10, 100, 1000, 10_000), 30.0

#: Beyond so many margins an effect is drawn at the edge.
_FARTHEST = 10_000.0

#: Height of a row, in the rows of a figure of layers.
_ROWS = 1.3


def network_effects(source: object, *, ax: Axes | None = None) -> Axes:
    """Each condition in a network as a whole: its effect in multiples of the margin.

    An interval within the grey strip holds, one beyond it fails, one across its edge is
    inconclusive. Up to the margin the axis is linear, beyond it logarithmic. The columns at the
    right give the effect, its margin, and in how many layers the condition holds, of those that
    it can judge.

    Parameters
    ----------
    source : NetworkResult, CheckResult or DataFrame
        What `cwda.check` returns, its `.network`, or the table of that.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the conditions need, by default. The
        columns stand right of the Axes, which takes 62 mm.

    Raises
    ------
    CwdaError
        If it is not such a table, empty, or holds several networks.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import network_effects
    >>> ax = network_effects(cwda.check(cwda.load("resnet20-cifar10"), ["mean", "epsilon"]))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['mean', 'epsilon']
    """
    from cwda.conditions.table import CheckResult

    whole = source.network if isinstance(source, CheckResult) else source
    table = tidy(whole, (*_COLUMNS, *_COUNTS), "cwda.check(...).network")
    names = list(table["condition"])
    margins = Margins(left=5 + text_width(names), right=64, bottom=11, top=11)
    height = tall(int(np.ceil(_ROWS * len(names)))) + margins.bottom + margins.top
    with canvas(ax, TEXT_WIDTH, height, margins) as ax:
        _draw(ax, table)
        ax.set_yticks(np.arange(len(names)) + 0.5, names, fontfamily=FONT)
        ax.set_ylim(len(names), 0)
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("effect, in multiples of the margin; beyond 1 logarithmic")
        if "network" in table.columns:
            set_title(ax, str(table["network"].iloc[0]), " as a whole")
        _columns(ax, table)
        return ax


def _draw(ax: Axes, table: pd.DataFrame) -> None:
    values = table[["effect_low", "effect", "effect_high"]].to_numpy(dtype=np.float64)
    values = np.clip(values / table[["margin"]].to_numpy(dtype=np.float64), -1, _FARTHEST)
    finite = values[np.isfinite(values)]
    right = 1.15 * max(1.7, float(finite.max(initial=0)))
    left = min(0.0, float(finite.min(initial=0)))
    ax.axvspan(min(left, -0.04), 1, color=LINES, alpha=0.35, linewidth=0)
    ax.axvline(1, color=DARK, linewidth=0.8)
    for place, (verdict, (low, middle, high)) in enumerate(
        zip(table["verdict"], values, strict=True)
    ):
        style = VERDICTS[verdict]
        if not np.isfinite(middle):
            continue
        ax.hlines(place + 0.5, low, high, color=style.line, linewidth=1.6)
        ax.plot(
            middle,
            place + 0.5,
            style.marker,
            color=style.line,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.8)
    ax.set_xlim(min(left, -0.04), right)
    ticks = [tick for tick in (_TICKS_NEAR if right < _FAR else _TICKS_FAR) if tick <= right]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:,g}" for tick in ticks], fontfamily=FONT)
    style_ticks(ax)


def _columns(ax: Axes, table: pd.DataFrame) -> None:
    """Verdict, effect and margin, and layers, right of the Axes, in points from its edge."""
    heads: list[Head] = [("", 6, "left"), ("effect", 86, "right"), ("margin", 116, "right")]
    heads.append(("layers that hold", 178, "right"))
    rows = [
        (
            f"{VERDICTS[row.verdict].mark} {row.verdict}",
            number(row.effect),
            number(row.margin),
            f"{row.holds} of {row.layers}" if row.layers else "–",
        )
        for row in table.itertuples()
    ]
    write_columns(ax, heads, rows, [VERDICTS[verdict].word for verdict in table["verdict"]])
