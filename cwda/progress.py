"""One bar for long work, with the time left: in a terminal and in a notebook, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from tqdm.std import tqdm

__all__ = ["Counter", "counter", "showing", "steps"]

T = TypeVar("T")

#: Seconds before a bar appears: short work stays silent.
_DELAY = 0.5

_SHOWN: ContextVar[bool] = ContextVar("cwda_progress", default=True)


@contextmanager
def showing(progress: bool) -> Iterator[None]:
    """Show the bars within, or not; what is hidden outside stays hidden inside.

    The argument `progress` of public functions is handed on to it.
    """
    token = _SHOWN.set(_SHOWN.get() and progress)
    try:
        yield
    finally:
        _SHOWN.reset(token)


class Counter:
    """How far work is that counts its own steps."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def advance(self, steps: float = 1) -> None:
        """So many more steps are done."""
        self._bar.update(steps)

    def update(self, done: float, total: float | None, what: str | None = None) -> None:
        """So much of the total is done, and what comes next."""
        self._bar.total = total
        if what is not None:
            self._bar.set_description(what, refresh=False)
        self._bar.update(done - self._bar.n)


@contextmanager
def counter(what: str, total: float | None = None, *, unit: str = "") -> Iterator[Counter]:
    """A bar for work that counts its own steps; `unit` "B" counts bytes."""
    with tqdm(
        desc=what,
        total=total,
        file=sys.stderr,
        delay=_DELAY,
        leave=False,
        disable=not (_SHOWN.get() and _is_watched()),
        unit=unit,
        unit_scale=unit == "B",
        dynamic_ncols=True,
    ) as bar:
        yield Counter(bar)


def steps(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, with a bar; `total` is their number where they do not know it.

    Examples
    --------
    >>> [n * n for n in steps([1, 2], "squaring")]
    [1, 4]
    """
    known = len(items) if isinstance(items, Sized) else total
    with counter(what, known) as count:
        for item in items:
            yield item
            count.advance()


def _is_watched() -> bool:
    """Whether somebody sees standard error: a terminal, or a notebook."""
    if sys.stderr is None:
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")
