"""Figures as files: equal figures give equal bytes, and text in an SVG stays text."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cwda._version import __version__
from cwda.arguments import as_path, require_between, require_type
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Panels
from cwda.files import require_writable, whole_file

__all__ = ["FORMATS", "figure_of", "save", "write"]

#: Suffixes of the formats, each with the names that it has for title, description and program.
FORMATS = {
    ".svg": ("Title", "Description", "Creator"),
    ".pdf": ("Title", "Subject", "Creator"),
    ".png": ("Title", "Description", "Software"),
}

_UNDATED: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


def save(
    drawn: Axes | Panels | Figure,
    path: str | os.PathLike[str],
    *,
    title: str = "",
    description: str = "",
    dpi: float = 200,
) -> Path:
    """Save a figure as SVG, PDF or PNG, with title, description and version in its metadata.

    Equal figures give equal bytes: nothing is dated. Text in an SVG stays text, which can be
    searched.

    Parameters
    ----------
    drawn : Axes, array of Axes, or Figure
        What a function of `cwda.figures` returns, or any figure of matplotlib.
    path : path
        Where to write: ``.svg``, ``.pdf`` or ``.png``.
    title : str
        What it is called; by default the title of the first Axes.
    description : str
        What it shows, or the command and seed that made it.
    dpi : float
        Dots per inch of a PNG, and of pictures in the others.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    CwdaError
        If it is no figure, the suffix is unknown, or the folder is missing.

    Examples
    --------
    >>> import cwda, tempfile
    >>> from cwda.figures import overview, save
    >>> ax = overview(cwda.check(cwda.load("resnet20-cifar10").select("layer3.*")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(ax, f"{folder}/overview.svg", description="cwda.check, layer3").name
    'overview.svg'
    """
    figure, path = figure_of(drawn), as_path(path)
    require_writable(path, tuple(FORMATS))
    for name, text in (("title", title), ("description", description)):
        require_type(text, str, name)
    require_between(dpi, 0, math.inf, "dpi")
    keys = FORMATS[path.suffix]
    values = title or _title(figure), description, f"cwda {__version__}"
    metadata = {key: value for key, value in zip(keys, values, strict=True) if value}
    with whole_file(path) as partial:
        write(figure, partial, path.suffix, dpi=dpi, metadata=metadata)
    return path


def figure_of(drawn: Axes | Panels | Figure) -> Figure:
    """The whole figure that Axes or an array of them belong to, or the figure itself.

    Raises
    ------
    CwdaError
        If it is none of these.
    """
    part: Any = next(iter(np.ravel(np.array(drawn, dtype=object))), None)
    if not isinstance(part, Artist):
        raise CwdaError(f"a picture is made of Axes or a Figure, not of {type(part).__name__}")
    while not isinstance(part, Figure):
        part = part.figure  # of a part of a figure, the part that it belongs to
    return part


def _title(figure: Figure) -> str:
    titles = (ax.get_title(loc=side) for ax in figure.axes for side in ("left", "center"))
    return next(filter(None, titles), "")


def write(
    figure: Figure,
    target: Path | IO[bytes],
    suffix: str,
    *,
    dpi: float | Literal["figure"] = "figure",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a figure in the format of a suffix, without a date.

    Text that stays text can be searched, and takes a fraction of the room of outlines.
    """
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "cwda"}
    told = {**_UNDATED.get(suffix, {}), **(metadata or {})}
    with rc_context(settings):
        figure.savefig(target, format=suffix[1:], dpi=dpi, metadata=told or None)
