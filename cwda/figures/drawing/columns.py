"""Columns of text right of the Axes, one line per row of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from cwda.figures.drawing.style import DARK, GREY, SMALL

__all__ = ["Head", "write_columns"]

#: What a column is called, its place in points from the edge of the Axes, and its alignment.
Head = tuple[str, float, str]


def write_columns(
    ax: Axes, heads: Sequence[Head], rows: Sequence[Sequence[str]], colours: Sequence[str]
) -> None:
    """Write rows of texts beside the rows of the Axes; the first column in the row's colour."""
    for column, (head, at, side) in enumerate(heads):
        _write(ax, 1, (at, 3), head, side, GREY, baseline="bottom")
        for place, cells in enumerate(rows):
            colour = DARK if column else colours[place]
            _write(ax, 1 - (place + 0.5) / len(rows), (at, 0), cells[column], side, colour)


def _write(
    ax: Axes,
    height: float,
    offset: tuple[float, float],
    words: str,
    side: str,
    colour: str,
    *,
    baseline: str = "center",
) -> None:
    ax.annotate(
        words,
        (1, height),
        offset,
        xycoords="axes fraction",
        textcoords="offset points",
        ha=side,
        va=baseline,
        fontsize=SMALL,
        color=colour,
        annotation_clip=False,
    )
