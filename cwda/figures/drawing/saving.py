"""Figures as files: equal figures give equal bytes, and text in an SVG stays text."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Literal

from matplotlib import rc_context
from matplotlib.figure import Figure

__all__ = ["save"]

_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save(
    figure: Figure, target: Path | IO[bytes], suffix: str, dpi: float | Literal["figure"] = "figure"
) -> None:
    """Write a figure in the format of a suffix, without a date.

    Text that stays text can be searched, and takes a fraction of the room of outlines.
    """
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "cwda"}
    with rc_context(settings):
        figure.savefig(target, format=suffix[1:], dpi=dpi, metadata=_UNDATED.get(suffix))
