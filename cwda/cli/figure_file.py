"""Writing a figure to a file: format by suffix, the same bytes for the same figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cwda.cli.messages import note
from cwda.cli.verb import command_line
from cwda.files import require_writable

__all__ = ["require_drawable", "write_figure"]

_FORMATS = (".svg", ".pdf", ".png")


def require_drawable(path: Path) -> None:
    """Raise unless a figure can be written to `path`; called before any long work.

    Raises
    ------
    CwdaError
        If the suffix is unknown, or the folder is missing or may not be written.
    """
    require_writable(path, _FORMATS)


def write_figure(figure: Any, path: Path) -> None:
    """Write a figure with the command that made it, and say so."""
    from cwda.figures import save

    save(figure, path, description=command_line())
    note(f"drew {path}")
