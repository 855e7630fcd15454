"""Text in figures: every character has a glyph, and names fit the room there is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import text_to_path

from cwda.figures.drawing.style import FONT, MM, SMALL, size_in_points

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "as_label",
    "fitted",
    "name_network",
    "printable",
    "set_title",
    "text_width",
]

#: A title may be so much wider than its Axes, in mm; a name in it keeps so many characters.
_BESIDE, _SHORTEST = 6.0, 12

#: Space below a title and height of a legend's line, in points.
_PAD, _LINE = 4.0, 10.5


def printable(text: str, font: str = FONT) -> str:
    """Text of which every character has a glyph; others as ``\\u{...}``, so that none is lost.

    Examples
    --------
    >>> print(printable("conv\\u5c42"))
    conv\\u{5c42}
    """
    glyphs = _glyphs(font)
    return "".join(char if ord(char) in glyphs else f"\\u{{{ord(char):x}}}" for char in text)


def as_label(text: str) -> str:
    """A name as the text of an artist: printable, and its dollar signs do not start a formula."""
    return printable(text).replace("$", r"\$")


def set_title(ax: Axes, name: str, rest: str, *, lines: int = 0) -> None:
    """A name and what is said about it, as wide as the Axes allow, above a legend of some lines."""
    size = float(ax.set_title("").get_fontsize())
    title = fitted(name, rest, size_in_points(ax)[0] / 72 / MM + _BESIDE, size)
    # To look for a place above all ticks takes a quarter of the time of drawing.
    ticks_above = ax.xaxis.get_ticks_position() == "top"
    ax.set_title(title, pad=_PAD + lines * _LINE, y=None if ticks_above else 1.0)


def name_network(ax: Axes, table: pd.DataFrame, rest: str = "", *, lines: int = 0) -> None:
    """The network of a table as a title above a legend of some lines; none if it has no name."""
    name = str(table["network"].iloc[0]) if "network" in table.columns else ""
    if name or rest:
        set_title(ax, name, f": {rest}" if name and rest else rest, lines=lines)


def fitted(name: str, rest: str, room: float, size: float) -> str:
    """A label of at most `room` mm: a name and what follows; a long name loses its middle."""
    name = printable(name)
    shown, length = name, len(name)
    while length > _SHORTEST and (width := text_width([shown + rest], size)) > room:
        length = max(_SHORTEST, min(length - 1, int(length * room / width)))
        shown = f"{name[: length // 3]}…{name[len(name) - (length - length // 3 - 1) :]}"
    return as_label(shown + rest)


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
