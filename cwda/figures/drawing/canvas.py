"""What the figures are drawn on: the Axes given, or those of a new figure that shows itself.

Figures are plain `matplotlib.figure.Figure` objects; pyplot and the user's settings are not
touched.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cwda.errors import CwdaError
from cwda.figures.drawing.style import MM, TEXT_WIDTH, style_ticks, styled

__all__ = [
    "Margins",
    "Panels",
    "ShownAxes",
    "ShownFigure",
    "canvas",
    "empty_figure",
    "panel_canvas",
    "panels",
]


class ShownFigure(Figure):
    """A `Figure` that a notebook shows although pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=144)
        return buffer.getvalue()


class ShownAxes(Axes):
    """`Axes` that show their `ShownFigure` where they are the last value of a notebook's cell."""

    def _repr_png_(self) -> bytes:
        assert isinstance(self.figure, ShownFigure)
        return self.figure._repr_png_()


class Panels(np.ndarray[tuple[int, ...], np.dtype[np.object_]]):
    """An array of the Axes of one figure, which shows it as `ShownAxes` do."""

    @property
    def figure(self) -> Figure:
        """The figure of the panels."""
        first: Any = self.flat[0]
        figure: Figure = first.figure
        return figure

    def _repr_png_(self) -> bytes | None:
        first = self.flat[0] if self.size else None
        return first._repr_png_() if isinstance(first, ShownAxes) else None


@dataclass(frozen=True)
class Margins:
    """Space around the Axes of a new figure, in mm."""

    left: float = 13.0
    right: float = 3.0
    bottom: float = 11.0
    top: float = 7.0


def empty_figure(width: float, height: float) -> Figure:
    """A figure without Axes, in mm."""
    return ShownFigure(figsize=(width * MM, height * MM))


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
            ax = figure.add_subplot(axes_class=ShownAxes)
            _place(figure, margins or Margins())
        style_ticks(ax)
        yield ax


@contextmanager
def panel_canvas(ax: Any, number: int, **layout: Any) -> Iterator[Panels]:
    """The Axes given, as many as there are panels, or those of new `panels`.

    Raises
    ------
    CwdaError
        If what is given is not `number` Axes, in an array or a sequence of any shape.
    """
    if ax is None:
        axes = panels(number, **layout)
    else:
        axes = np.ravel(np.array(ax, dtype=object)).view(Panels)
        wrong = next((type(one).__name__ for one in axes if not isinstance(one, Axes)), None)
        if wrong or len(axes) != number:
            given = f"not {wrong}" if wrong else f"not {len(axes)}"
            raise CwdaError(f"ax has one of matplotlib's Axes for each of {number} panels, {given}")
    with styled():
        for panel in axes:
            style_ticks(panel)
        yield axes


def panels(
    number: int,
    columns: int = 2,
    *,
    height: float = 66.0,
    width: float = TEXT_WIDTH,
    margins: Margins | None = None,
    gaps: tuple[float, float] = (0.4, 0.42),
    **options: Any,
) -> Panels:
    """The Axes of a new figure with so many panels, row by row: draw on each with ``ax=``.

    Parameters
    ----------
    number, columns : int
        Panels, and panels in a row.
    height, width : float
        Height of one row and width of the whole figure, in mm.
    margins : Margins, optional
        Space around the panels; enough for titles, labels and a colour bar by default.
    gaps : (float, float)
        Space between panels across and down, as a share of their width and height.
    **options
        Options of `matplotlib.figure.Figure.add_subplot`.

    Examples
    --------
    >>> axes = panels(3)
    >>> axes.shape, axes.figure is axes[2].figure
    ((3,), True)
    """
    rows = math.ceil(number / columns)
    figure = empty_figure(width, height * rows)
    with styled():
        grid = figure.add_gridspec(rows, columns, wspace=gaps[0], hspace=gaps[1])
        _place(figure, margins or Margins(left=15, right=9, bottom=12, top=8))
        axes = np.empty(number, dtype=object)
        for place in range(number):
            cell = grid[divmod(place, columns)]
            axes[place] = figure.add_subplot(cell, axes_class=ShownAxes, **options)
            style_ticks(axes[place])
    return axes.view(Panels)


def _place(figure: Figure, margins: Margins) -> None:
    """Leave the margins of a figure free."""
    width, height = figure.get_size_inches() / MM
    figure.subplots_adjust(
        left=margins.left / width,
        right=1 - margins.right / width,
        bottom=margins.bottom / height,
        top=1 - margins.top / height,
    )
