"""Axes become pictures of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from cwda.reporting.blocks import Picture, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cwda.figures.drawing.canvas import Panels

__all__ = ["picture"]


def picture(
    drawn: Axes | Panels | Figure, caption: Text, alt: str, *, high: bool = False
) -> Picture:
    """A figure, or the whole figure of Axes, as a block of the report.

    Parameters
    ----------
    drawn : Axes, array of Axes, or Figure
        What a function of `cwda.figures` returns, or any figure of matplotlib.
    caption : str or sequence
        What it shows.
    alt : str
        The same for those who cannot see it, and what they would read from it.
    high : bool
        Whether it may take a page of its own; others take less than half of one.

    Raises
    ------
    CwdaError
        If it is neither.
    """
    from cwda.figures.drawing.saving import figure_of, write

    buffer = io.BytesIO()
    write(figure_of(drawn), buffer, ".svg")
    return Picture(buffer.getvalue(), caption, alt, high)
