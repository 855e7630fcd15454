"""An axis with one row per layer, readable for 5 layers and for 200."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from matplotlib.axes import Axes

from cwda.figures.drawing.canvas import Margins
from cwda.figures.drawing.style import FONT, SMALL, size_in_points
from cwda.figures.drawing.text import as_label, printable, text_width

__all__ = ["HIGHEST", "elide", "label_layers", "layer_margins", "rows_within", "tall"]

#: Height of the rows together, in mm, that fits a page.
HIGHEST = 215.0

_highest: ContextVar[float] = ContextVar("highest", default=HIGHEST)

_ROW = 3.8

#: Characters of a name that are shown, and how many of them may stand before what is left out.
_LONGEST = 34
_HEADS = (10, 16, 22)


def tall(rows: int) -> float:
    """Height of so many rows, in mm: full rows as long as they fit a page."""
    return min(max(rows * _ROW, 12.0), _highest.get())


@contextmanager
def rows_within(height: float) -> Iterator[None]:
    """Figures drawn inside have rows of so many mm together at most, such as half a page."""
    token = _highest.set(height)
    try:
        yield
    finally:
        _highest.reset(token)


def layer_margins(
    names: Sequence[str], *, right: float = 3.0, bottom: float = 11.0, top: float = 7.0
) -> Margins:
    """Margins with room for the names of the layers on the left."""
    return Margins(4.0 + text_width(elide(names)), right, bottom, top)


def elide(names: Sequence[str]) -> list[str]:
    """Long names without their middle; by their position where two would look the same.

    Examples
    --------
    >>> elide(["conv1", "features.denseblock4.denselayer16.conv2"])
    ['conv1', 'features.d…ock4.denselayer16.conv2']
    """
    names = [printable(name) for name in names]
    for head in _HEADS:
        short = [_without_middle(name, head) for name in names]
        if len(set(short)) == len(set(names)):
            return short
    return [f"{place}: {_without_middle(name, _HEADS[0])}" for place, name in enumerate(names)]


def _without_middle(name: str, head: int) -> str:
    return name if len(name) <= _LONGEST else f"{name[:head]}…{name[head + 1 - _LONGEST :]}"


def label_layers(ax: Axes, names: Sequence[str]) -> None:
    """Layers from top to bottom, row i at y = i + 1/2; every n-th is named where space is short."""
    rows = len(names)
    height = size_in_points(ax)[1] / rows
    step = math.ceil(1.1 * SMALL / height)
    at = range(0, rows, step)
    short = elide(names)
    ax.set_ylim(rows, 0)
    ax.set_yticks([i + 0.5 for i in at], [as_label(short[i]) for i in at], fontfamily=FONT)
    ax.tick_params(axis="y", length=0 if step == 1 else 2)
