"""How the figures look: sizes, colours, marks, and the Axes they are drawn on.

Figures are plain `matplotlib.figure.Figure` objects; pyplot and the user's settings are not
touched. Nothing in this room works without matplotlib, so its modules import it at their
top; the room itself is imported when first used.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

from cwda.errors import CwdaError
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
    "SMALL",
    "TEXT_WIDTH",
    "UNDEFINED",
    "VALUES",
    "VERDICTS",
    "Margins",
    "Panels",
    "Shown",
    "VerdictStyle",
    "as_label",
    "canvas",
    "criterion_style",
    "empty_figure",
    "legend",
    "legend_above",
    "plain",
    "printable",
    "say",
    "set_title",
    "size_in_points",
    "styled",
    "text_width",
]

#: Inches in a millimetre.
MM = 1 / 25.4

#: Width of the text of a report, in mm.
TEXT_WIDTH = 160.0

#: Axes narrower than this, in points, have room for one entry of a legend a line.
_NARROW = 190.0

#: A title may be so much wider than its Axes, in mm; a name in it keeps so many characters.
_BESIDE, _SHORTEST = 6.0, 12

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
    """

    mark: str
    fill: str
    ink: str
    line: str
    marker: str


#: From the condition that holds (light) to the one that fails (dark).
VERDICTS = {
    "holds": VerdictStyle(MARKS["holds"], "#D6EAF5", DARK, "#0072B2", "o"),
    "inconclusive": VerdictStyle(MARKS["inconclusive"], "#EDB85A", DARK, "#C07F00", "D"),
    "fails": VerdictStyle(MARKS["fails"], "#A8401C", "white", "#A8401C", "X"),
    "not applicable": VerdictStyle(MARKS["not applicable"], UNDEFINED, GREY, GREY, "_"),
}


class Picture(Figure):
    """A `Figure` that a notebook shows although pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=144)
        return buffer.getvalue()


class Shown(Axes):
    """`Axes` that show their `Picture` where they are the last value of a notebook's cell."""

    def _repr_png_(self) -> bytes:
        assert isinstance(self.figure, Picture)
        return self.figure._repr_png_()


class Panels(np.ndarray[tuple[int, ...], np.dtype[np.object_]]):
    """An array of Axes of one `Picture`, shown as it."""

    def _repr_png_(self) -> bytes | None:
        first = self.flat[0] if self.size else None
        return first._repr_png_() if isinstance(first, Shown) else None


@dataclass(frozen=True)
class Margins:
    """Space round the Axes of a new figure, in mm."""

    left: float = 13.0
    right: float = 3.0
    bottom: float = 11.0
    top: float = 7.0


def empty_figure(width: float, height: float) -> Figure:
    """A figure without Axes, in mm."""
    return Picture(figsize=(width * MM, height * MM))


@contextmanager
def styled() -> Iterator[None]:
    """The settings of this room inside, the user's outside."""
    with rc_context(_RC):  # type: ignore[arg-type]
        yield


@contextmanager
def canvas(
    ax: Axes | None, width: float, height: float, margins: Margins | None = None
) -> Iterator[Axes]:
    """The Axes given, or those of a new figure of a size in mm; in the style of this room."""
    if ax is not None and not isinstance(ax, Axes):
        raise CwdaError(f"ax is matplotlib's Axes to draw on, not {type(ax).__name__}")
    with styled():
        if ax is None:
            figure = empty_figure(width, height)
            ax = figure.add_subplot(axes_class=Shown)
            space = margins or Margins()
            figure.subplots_adjust(
                left=space.left / width,
                right=1 - space.right / width,
                bottom=space.bottom / height,
                top=1 - space.top / height,
            )
        plain(ax)
        yield ax


def plain(ax: Axes) -> None:
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


def say(ax: Axes, sentence: str) -> Axes:
    """A sentence in place of a picture."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, sentence, ha="center", va="center", wrap=True, transform=ax.transAxes)
    return ax


def legend_above(ax: Axes, ncols: int) -> None:
    """A legend in one line or more above the Axes, where it covers nothing."""
    if size_in_points(ax)[0] < _NARROW:
        ncols = 1
    legend(ax, loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, columnspacing=1.4)


def legend(ax: Axes, **where: Any) -> None:
    """A small legend of the labelled artists, if there are any."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(handles, labels, handlelength=1.4, borderaxespad=0.2, labelspacing=0.3, **where)


def criterion_style(name: str, place: int = 0) -> tuple[str, str]:
    """Colour and marker of a criterion; by their place for those without a style of their own."""
    at = place % len(CYCLE)
    return style_of(name) or (CYCLE[at], _MARKERS[at])


def size_in_points(ax: Axes) -> tuple[float, float]:
    """Width and height of Axes."""
    inches = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    return 72 * inches.width, 72 * inches.height


def printable(text: str, font: str = FONT) -> str:
    """Text of which every character has a glyph; others as ``\\u{...}``, so that none is lost.

    Examples
    --------
    >>> print(printable("conv\\u5c42"))
    conv\\u{5c42}
    """
    known = _glyphs(font)
    return "".join(char if ord(char) in known else f"\\u{{{ord(char):x}}}" for char in text)


def as_label(text: str) -> str:
    """A name as the text of an artist: printable, and its dollar signs are no formulae."""
    return printable(text).replace("$", r"\$")


def set_title(ax: Axes, name: str, rest: str) -> None:
    """A name and what is said of it; without the name's middle where the Axes are narrower."""
    name = printable(name)
    size = float(ax.set_title("").get_fontsize())
    room = size_in_points(ax)[0] / 72 / MM + _BESIDE
    shown, length = name, len(name)
    while length > _SHORTEST and (width := text_width([shown + rest], size)) > room:
        length = max(_SHORTEST, min(length - 1, int(length * room / width)))
        shown = f"{name[: length // 3]}…{name[len(name) - (length - length // 3 - 1) :]}"
    ax.set_title(as_label(shown + rest))


@cache
def _glyphs(font: str) -> frozenset[int]:
    """Code points of a font that comes with matplotlib."""
    return frozenset(FT2Font(findfont(font, fallback_to_default=False)).get_charmap())


def text_width(words: Sequence[str], size: float = SMALL) -> float:
    """Width in mm of the widest of some words."""
    longest = sorted(set(words), key=len)[-3:]
    font = FontProperties(family=FONT, size=size)
    widths = [
        text_to_path.get_text_width_height_descent(word, font, ismath=False)[0] for word in longest
    ]
    return max(widths, default=0.0) / 72 / MM
