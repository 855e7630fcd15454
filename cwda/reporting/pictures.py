"""Axes become pictures of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from cwda.errors import CwdaError
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
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from cwda.figures.drawing.saving import save

    part: Any = next(iter(np.ravel(np.array(drawn, dtype=object))), None)
    if not isinstance(part, Artist):
        raise CwdaError(f"a picture is made of Axes or a Figure, not of {type(part).__name__}")
    while not isinstance(part, Figure):
        part = part.figure  # of a part of a figure, the part that it belongs to
    buffer = io.BytesIO()
    save(part, buffer, ".svg")
    return Picture(buffer.getvalue(), caption, alt, high)
