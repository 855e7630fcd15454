"""Bars on standard error with the time left, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cwda.cli.messages import is_quiet
from cwda.progress import Listener

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Bar", "bars", "progress"]


@contextmanager
def bars(enabled: bool) -> Iterator[Listener | None]:
    """A listener for `cwda.progress.steps` that draws a bar per loop; None in a pipe."""
    if not enabled or not _is_terminal():
        yield None
        return
    shown = _Bars()
    try:
        yield shown.listen
    finally:
        shown.stop()


class _Bars:
    """The bars of loops within loops; what they stand on is made for the first of them."""

    def __init__(self) -> None:
        self.display: Progress | None = None

    @contextmanager
    def listen(self, what: str, total: int | None) -> Iterator[Callable[[], None]]:
        display, outermost = self.display or _display(), self.display is None
        if outermost:
            self.display = display
            display.start()
        task = display.add_task(what, total=total)
        try:
            yield lambda: display.advance(task)
        finally:
            display.remove_task(task)
            if outermost:
                self.stop()

    def stop(self) -> None:
        if self.display is not None:
            self.display.stop()
            self.display = None


class Bar:
    """One bar for work that counts its own steps."""

    def __init__(self, display: Progress | None, what: str) -> None:
        self.display = display
        self.task = display.add_task(what, total=None) if display else None

    def update(self, done: float, total: float, what: str | None = None) -> None:
        """So much of the total is done, and what comes next."""
        if self.display and self.task is not None:
            self.display.update(self.task, completed=done, total=total, description=what)


@contextmanager
def progress(*what: str) -> Iterator[tuple[Bar, ...]]:
    """A bar for each kind of work; they draw nothing in a pipe or if quiet."""
    if is_quiet() or not _is_terminal():
        yield tuple(Bar(None, each) for each in what)
        return
    with _display() as display:
        yield tuple(Bar(display, each) for each in what)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _display() -> Progress:
    from rich.console import Console
    from rich.progress import Progress, TimeRemainingColumn

    columns = (
        *Progress.get_default_columns()[:-1],
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
