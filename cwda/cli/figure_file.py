"""Writing a figure to a file: the suffix checked before the work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from cwda.errors import CwdaError

__all__ = ["require_drawable", "write_figure"]

_SUFFIXES = (".svg", ".pdf", ".png")


def require_drawable(path: Path) -> None:
    """Raise unless a figure can be written to `path`; called before any long work.

    Raises
    ------
    CwdaError
        If the suffix is unknown, or the folder is missing or may not be written.
    """
    if path.suffix not in _SUFFIXES:
        raise CwdaError(f"{path}: unknown format; end the name with {', '.join(_SUFFIXES)}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise CwdaError(f"{path}: the folder {path.parent} does not exist or may not be written")


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure, and say so; an SVG keeps its text as text."""
    from matplotlib import rc_context

    # Without date and with a fixed salt, so that the same figure is the same file.
    known = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "cwda"}
    with rc_context(settings):
        try:
            figure.savefig(path, dpi=200, metadata=known.get(path.suffix))
        except OSError as error:
            raise CwdaError(f"{path}: cannot be written ({error.strerror})") from error
    click.echo(f"drew {path}", err=True)
