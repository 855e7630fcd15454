"""Axes become pictures of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from cwda.reporting.blocks import Picture, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["picture"]


def picture(drawn: Axes | Figure, caption: Text, alt: str) -> Picture:
    """A figure, or the whole figure of Axes, as SVG; equal figures give equal bytes.

    Text stays text: it can be searched, and takes a fraction of the room of outlines.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cwda", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Picture(buffer.getvalue(), caption, alt)
