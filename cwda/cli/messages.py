"""Lines on standard error: errors always, notes unless the verb is quiet."""

from __future__ import annotations

import click

from cwda.progress import line

__all__ = ["QUIET", "is_quiet", "note", "say"]

#: Where the context of a command keeps whether it was given --quiet.
QUIET = "cwda.quiet"


def say(error: Exception | str) -> None:
    """Write an error as one line."""
    line(f"error: {' '.join(str(error).split())}")


def note(text: str) -> None:
    """Say what was done, unless that is not wanted."""
    if not is_quiet():
        line(text)


def is_quiet() -> bool:
    """Whether the verb that runs was given --quiet."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))
