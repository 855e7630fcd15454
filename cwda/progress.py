"""Long loops say how far they are, to whoever listens: the bar of a terminal, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["Listener", "listening", "steps"]

T = TypeVar("T")

#: From what is done and the number of its steps, None where it is not known, to a context, which
#: gives what each step calls.
Listener = Callable[[str, int | None], AbstractContextManager[Callable[[], None]]]

_LISTENER: ContextVar[Listener | None] = ContextVar("cwda_listener", default=None)


def steps(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one; a listener is told when each has been worked on.

    `total` is their number, where they do not know it.

    Examples
    --------
    >>> from contextlib import contextmanager
    >>> @contextmanager
    ... def listener(what, total):
    ...     yield lambda: print(what, "of", total)
    >>> with listening(listener):
    ...     squares = [n * n for n in steps([1, 2], "squaring")]
    squaring of 2
    squaring of 2
    """
    listener = _LISTENER.get()
    if listener is None:
        yield from items
        return
    known = len(items) if isinstance(items, Sized) else total
    with listener(what, known) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Tell `listener` of all steps within."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
