"""What several analyses of the same layers need is computed once while they run together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

__all__ = ["keep", "shared", "sharing"]

T = TypeVar("T")

_KEPT: ContextVar[dict[Hashable, Any] | None] = ContextVar("cwda_shared", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Keep what is `shared` within, until its end; one within another is a part of that.

    Outside nothing is kept.
    """
    if _KEPT.get() is not None:
        yield
        return
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def keep(key: Hashable, compute: Callable[[], Any]) -> None:
    """Make a value for whoever asks for it by `shared` later; nothing where nothing is kept."""
    kept = _KEPT.get()
    if kept is not None and key not in kept:
        kept[key] = compute()


def shared(key: Hashable, compute: Callable[[], T]) -> T:
    """What was computed for this key before, or is now.

    Parameters
    ----------
    key : hashable
        The function, and all on which its value depends: objects, not their `id`, which
        another may have once they are gone.
    compute : callable
        Makes the value, which nobody changes afterwards.

    Examples
    --------
    >>> from itertools import count
    >>> numbers = count()
    >>> with sharing():
    ...     [shared("a", numbers.__next__), shared("a", numbers.__next__)]
    [0, 0]
    >>> [shared("a", numbers.__next__), shared("a", numbers.__next__)]
    [1, 2]
    """
    kept = _KEPT.get()
    if kept is None:
        return compute()
    if key not in kept:
        kept[key] = compute()
    value: T = kept[key]
    return value
