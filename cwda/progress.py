"""One bar for long work, with the time left: in a terminal and in a notebook, else nothing."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import FrameType
from typing import Any, TypeVar

from cwda.arguments import require_flag
from cwda.formatting import escaped

__all__ = [
    "Counter",
    "advance",
    "counter",
    "importing",
    "line",
    "overall",
    "showing",
    "steps",
    "waiting",
]

T = TypeVar("T")

#: Seconds before a bar appears: short work stays silent.
_DELAY = 0.5

#: Seconds that libraries may take to load before this is said.
_PATIENCE = 2.0

#: Seconds between two records of the log about one long work.
_RECORDS = 30.0

_LOG = logging.getLogger(__name__)

_SHOWN: ContextVar[bool] = ContextVar("cwda_progress", default=True)


@contextmanager
def showing(progress: bool) -> Iterator[None]:
    """Show the bars within, or not; what is hidden outside stays hidden inside.

    The argument `progress` of public functions is handed on to it.

    Raises
    ------
    CwdaError
        If that is neither True nor False.
    """
    token = _SHOWN.set(require_flag(progress, "progress") and _SHOWN.get())
    try:
        yield
    finally:
        _SHOWN.reset(token)


class Counter:
    """How far work is that counts its own steps; without a bar nobody is told."""

    def __init__(self, bar: Any = None) -> None:
        self._bar = bar

    def advance(self, steps: float = 1) -> None:
        """So many more steps are done."""
        if self._bar is not None:
            self._bar.update(steps)

    def update(self, done: float, total: float | None, what: str | None = None) -> None:
        """So much of the total is done, and what comes next."""
        if self._bar is None:
            return
        self._bar.total = total
        if what is not None:
            self._bar.set_description(what, refresh=False)
        self._bar.update(done - self._bar.n)


@contextmanager
def counter(what: str, total: float | None = None, *, unit: str = "") -> Iterator[Counter]:
    """A bar for work that counts its own steps, in thousands or millions of a `unit` if given."""
    if not (_SHOWN.get() and _is_watched() and _has_room()):
        yield Counter()
        return
    with _bar_type()(
        desc=what,
        total=total,
        file=sys.stderr,
        delay=_DELAY,
        leave=False,
        miniters=1,
        unit=unit,
        unit_scale=bool(unit),
        **_size(),
    ) as bar:
        yield Counter(bar)


def steps(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, with a bar; `total` is their number where they do not know it.

    Examples
    --------
    >>> [n * n for n in steps([1, 2], "squaring")]
    [1, 4]
    """
    number = len(items) if isinstance(items, Sized) else total
    with counter(what, number) as count:
        for item in items:
            yield item
            count.advance()


class _Overall:
    """Work whose parts count its steps, and when the log was told of it last."""

    def __init__(self, what: str, total: float, bar: Counter) -> None:
        self._what, self._total, self._bar = what, total, bar
        self._done = 0.0
        self._began = self._told = time.monotonic()

    def advance(self, steps: float) -> None:
        steps = min(steps, self._total - self._done)  # some may be done twice
        self._done += steps
        self._bar.advance(steps)
        now = time.monotonic()
        if self._done and now >= self._told + _RECORDS:
            self._told = now
            left = (now - self._began) * (self._total / self._done - 1)
            _LOG.info(
                "%s: %.0f %%, about %d:%02d minutes left",
                *(self._what, 100 * self._done / self._total, *divmod(round(left), 60)),
            )


_OVERALL: ContextVar[_Overall | None] = ContextVar("cwda_overall", default=None)


@contextmanager
def overall(what: str, total: float, *, unit: str = "") -> Iterator[None]:
    """One bar for work whose parts call `advance`, however deep they lie; they show none.

    The log (INFO) says now and then how far it is, for who sees no bar.
    """
    with counter(what, total, unit=unit) as bar, showing(False):
        token = _OVERALL.set(_Overall(what, total, bar))
        try:
            yield
        finally:
            _OVERALL.reset(token)


def advance(steps: float) -> None:
    """Tell the work around, if there is one, that so many of its steps are done."""
    work = _OVERALL.get()
    if work is not None:
        work.advance(steps)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say what is being waited for, if it takes long; for work that cannot count its steps."""
    if not (_SHOWN.get() and _is_watched() and _has_room()):
        yield
        return
    with _later(_DELAY, lambda: line(f"{what} ...")):
        yield


@contextmanager
def importing() -> Iterator[None]:
    """Say that libraries are loaded, if the program still waits for them after a while.

    That takes a second or two, but many on a machine that reads them for the first time.
    """
    if not (_SHOWN.get() and _is_watched()):
        yield
        return
    thread = threading.get_ident()

    def tell() -> None:
        if _imports(sys._current_frames().get(thread)):
            line("loading libraries ...")

    with _later(_PATIENCE, tell):
        yield


@contextmanager
def _later(seconds: float, what: Callable[[], None]) -> Iterator[None]:
    """Do something after a while, unless the work is done by then."""
    timer = threading.Timer(seconds, what)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _imports(frame: FrameType | None) -> bool:
    """Whether a thread that stands at this frame is within an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def line(text: str) -> None:
    """Write a line to standard error, above the bars that are drawn there.

    What a terminal would obey, such as in the name of a file, is written out.
    """
    if sys.stderr is None:
        return
    text = escaped(text)
    if "tqdm.std" not in sys.modules:  # no bar was ever drawn
        print(text, file=sys.stderr, flush=True)
        return
    with _bar_type().external_write_mode(file=sys.stderr):
        print(text, file=sys.stderr, flush=True)


def _size() -> dict[str, Any]:
    """That of the terminal; some, such as a container's, say 0, and would then show nothing."""
    try:
        known = os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # a notebook
        known = True
    return {"dynamic_ncols": True} if known else {"ncols": 79, "nrows": 24}


def _is_watched() -> bool:
    """Whether somebody sees standard error: a terminal, or a notebook."""
    if sys.stderr is None:
        return False
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return type(sys.stderr).__module__.startswith("ipykernel.")


def _has_room() -> bool:
    """Whether a bar can be drawn below those there are: a notebook cannot move the cursor up."""
    return not _in_notebook() or all(bar.disable for bar in _bar_type()._instances)


@cache
def _bar_type() -> Any:
    """The class of the bars, made when the first is drawn: importing tqdm takes a while."""
    from tqdm.std import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        """A bar that is drawn once its work takes long, and wiped however it was drawn.

        Drawing anew below a line of text would show the bars of short work, which tqdm then leaves.
        """

        monitor_interval = 0  # no thread that looks after slow bars: workers are forked beside it

        _drawn = False

        def display(self, msg: str | None = None, pos: int | None = None) -> Any:
            """Draw the bar, unless its work has just begun."""
            now = time.time()
            if msg is None and now < getattr(self, "start_t", now) + _DELAY:
                return False
            self._drawn = True
            return super().display(msg, pos)

        def close(self) -> None:
            """Wipe the bar if there is one."""
            if self._drawn:
                self.last_print_t = time.time()
            super().close()

    return Bar
