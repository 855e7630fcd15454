"""Hundreds of short texts at once, as outlines.

Matplotlib lays out each `Text` on its own, at about a millisecond; the numbers in a heat map
would take most of a report's time. Here each character at each place within its text is one
collection of copies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath, text_to_path
from matplotlib.transforms import Affine2D

from cwda.figures.drawing.style import FONT

__all__ = ["write_many"]

# Glyphs are made at this size and scaled.
_UNIT = 100.0
_DIGIT_HEIGHT = 0.73


def write_many(
    ax: Axes,
    places: Sequence[tuple[float, float]],
    texts: Sequence[str],
    size: float,
    colours: Sequence[str],
) -> None:
    """Texts centred at places in data coordinates; the size is in points."""
    copies: dict[tuple[str, float, str], list[tuple[float, float]]] = defaultdict(list)
    for place, text, colour in zip(places, texts, colours, strict=True):
        at = -sum(map(_advance, text)) / 2
        for character in text:
            if not character.isspace():
                copies[character, round(at, 3), colour].append(place)
            at += _advance(character)
    to_display = Affine2D().scale(size / 72) + ax.figure.dpi_scale_trans
    for (character, shift, colour), offsets in copies.items():
        outline = _outline(character).transformed(Affine2D().translate(shift, -_DIGIT_HEIGHT / 2))
        glyphs = PathCollection(
            [outline],
            offsets=offsets,
            offset_transform=ax.transData,
            facecolors=colour,
            linewidths=0,
        )
        glyphs.set_transform(to_display)
        ax.add_collection(glyphs, autolim=False)


_LARGE = FontProperties(family=FONT, size=_UNIT)


@cache
def _advance(character: str) -> float:
    """Width of a character, in units of the size of the text."""
    width, _, _ = text_to_path.get_text_width_height_descent(character, _LARGE, ismath=False)
    return float(width) / _UNIT


@cache
def _outline(character: str) -> Path:
    outline: Path = TextPath((0, 0), character, prop=_LARGE)
    return outline.transformed(Affine2D().scale(1 / _UNIT))
