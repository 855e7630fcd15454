"""How the figures look: sizes, colours, markers and marks.

Nothing in this room works without matplotlib, so its modules import it at their top; the room
itself is imported when first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes

from cwda.formatting import MARKS
from cwda.scoring.registry import style_of

__all__ = [
    "CYCLE",
    "DARK",
    "DIVERGING",
    "FONT",
    "GREY",
    "LINES",
    "MM",
    "SEQUENTIAL",
    "SIZE",
    "SMALL",
    "TEXT_WIDTH",
    "UNDEFINED",
    "VALUES",
    "VERDICTS",
    "VerdictStyle",
    "criterion_style",
    "legend",
    "legend_above",
    "message",
    "series_style",
    "size_in_points",
    "style_ticks",
    "styled",
]

#: Inches in a millimetre.
MM = 1 / 25.4

#: Width of the text of a report, in mm.
TEXT_WIDTH = 160.0

#: Axes narrower than this, in points, have room for one entry of a legend a line.
_NARROW = 190.0

#: Size of text and of tick labels, in points.
SIZE, SMALL = 8.0, 7.0
FONT = "DejaVu Sans"  # comes with matplotlib, and has the marks of the verdicts

DARK, GREY, LINES, UNDEFINED = "#222222", "#767676", "#BFBFBF", "#F0F0F0"

#: Okabe and Ito's colours without black and yellow, darkest first.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_MARKERS = "os^DvP"

#: Maps of values (lightness rises with the value), of sizes (0 is white), of signed numbers.
VALUES, SEQUENTIAL, DIVERGING = "viridis", "Blues", "RdBu_r"

_RC = {
    "font.family": FONT,
    "font.size": SIZE,
    "mathtext.fontset": "dejavusans",
    "axes.labelsize": SIZE,
    "axes.titlesize": SIZE,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.facecolor": "white",
    "axes.labelcolor": DARK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "text.color": DARK,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "hatch.linewidth": 0.4,
    "lines.linewidth": 1.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "auto",
}


@dataclass(frozen=True)
class VerdictStyle:
    """How a verdict is shown; fills differ in lightness, so that they survive grey printing.

    Attributes
    ----------
    mark : str
        Its sign in a cell of a table.
    fill, ink : str
        Colour of a cell, and of text upon it.
    line, marker : str
        Colour and marker of a point.
    word : str
        Colour of its name on white.
    """

    mark: str
    fill: str
    ink: str
    line: str
    marker: str
    word: str


#: From the condition that holds (light) to the one that fails (dark).
VERDICTS: dict[str, VerdictStyle] = {
    "holds": VerdictStyle(MARKS["holds"], "#D6EAF5", DARK, "#0072B2", "o", "#00664d"),
    "inconclusive": VerdictStyle(MARKS["inconclusive"], "#EDB85A", DARK, "#C07F00", "D", "#7a6000"),
    "fails": VerdictStyle(MARKS["fails"], "#A8401C", "white", "#A8401C", "X", "#a83200"),
    "not applicable": VerdictStyle(MARKS["not applicable"], UNDEFINED, GREY, GREY, "_", "#606060"),
}


@contextmanager
def styled() -> Iterator[None]:
    """The settings of this room inside, the user's outside."""
    with rc_context(_RC):  # type: ignore[arg-type]
        yield


def style_ticks(ax: Axes) -> None:
    """Ticks in the style of this room; they are made when drawn, after the context has gone."""
    ax.tick_params(
        labelsize=SMALL,
        labelfontfamily=FONT,
        labelcolor=DARK,
        color=GREY,
        length=2.5,
        width=0.6,
        pad=2,
    )


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Width and height of Axes."""
    inches = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return 72 * inches.width, 72 * inches.height


def message(ax: Axes, sentence: str) -> Axes:
    """A sentence in place of a picture."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, ha="center", va="center", wrap=True, transform=ax.transAxes)
    return ax


def legend_above(ax: Axes, ncols: int) -> int:
    """A legend in one line or more above the Axes, where it covers nothing; its lines."""
    if size_in_points(ax)[0] < _NARROW:
        ncols = 1
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, columnspacing=1.4)
    return -(-len(ax.get_legend_handles_labels()[1]) // ncols)


def legend(ax: Axes, **options: Any) -> None:
    """A small legend of the labelled artists, if there are any."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles, labels, handlelength=1.4, borderaxespad=0.2, labelspacing=0.3, **options)


def criterion_style(name: str, place: int = 0) -> tuple[str, str]:
    """Colour and marker of a criterion; by their place for those without a style of their own."""
    return style_of(name) or series_style(place)


def series_style(place: int) -> tuple[str, str]:
    """Colour and marker of a series without one of its own, by its place."""
    # The second time round each colour has another marker.
    return CYCLE[place % len(CYCLE)], _MARKERS[(place + place // len(CYCLE)) % len(_MARKERS)]
