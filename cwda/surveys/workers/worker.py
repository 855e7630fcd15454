"""What runs in a worker of Dask: hands a task to a child process, and watches it.

Nothing heavy is imported here. The child (`cwda.surveys.workers.child`) has torch; it is kept for
the next task, since importing takes seconds, and killed where a task exceeds its limits.
"""

from __future__ import annotations

import atexit
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any

from cwda._version import __version__
from cwda.errors import CwdaError
from cwda.surveys.workers.tasks import Limits, Reply, Task

__all__ = ["MixedVersions", "close", "version", "work"]

#: Libraries of the child that would otherwise use all cores each.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)

#: What starts a child; the folder for what it fetches follows.
COMMAND = [sys.executable, "-m", "cwda.surveys.workers.child"]

#: Seconds between two looks at the memory of a child.
_GLANCE = 0.05
#: Seconds that the imports of a child may take.
_START = 300.0
#: Seconds that a process may take to end once it is silent.
_FAREWELL = 10.0
#: How often a task is tried whose child ends without an answer.
_TRIES = 2

_LOCK = threading.Lock()
_IDLE: list[_Child] = []
_ALL: set[_Child] = set()
#: How many surveys of this process are over; those of their tasks that are left start nothing.
_SURVEYS = [0]
_OVER = "the survey is over"
#: Where the children of this process put what they fetch.
_SCRATCH: list[str] = []


class MixedVersions(CwdaError):  # noqa: N818 (it says what is the case)
    """The worker has another version of cwda than the machine that asks."""


def version() -> str:
    """The version of cwda on this worker."""
    return __version__


def work(task: Task) -> Reply:
    """Do a task in a process of its own.

    Raises
    ------
    MixedVersions
        If this worker has another version of cwda than `task` says.
    CwdaError
        If no process can be started.
    """
    if task.version != __version__:
        raise MixedVersions(f"has cwda {__version__}, and this machine {task.version}")
    limits = replace(task.limits, memory=task.limits.memory or _memory_of_worker())
    for attempt in range(1, _TRIES + 1):
        child = None
        try:
            child = _take(task)
            reply = child.ask(task, limits)
        except _Ended as ended:
            if _is_over(task):
                raise CwdaError(_OVER) from None
            if child is None and attempt == _TRIES:
                raise CwdaError(f"no process that computes can be started ({ended})") from None
            # What is left of earlier tasks may be to blame, or whoever killed the process.
            fresh = child is not None and child.tasks == 1
            if attempt == _TRIES or ended.final or (ended.by_limit and fresh):
                return ended.reply
        else:
            with _LOCK:
                if child in _ALL:
                    _IDLE.append(child)
            return replace(reply, worker=_address())
    raise AssertionError("unreachable")


def begin() -> int:
    """The number of the survey that begins, for its tasks; it ends with `close`."""
    return _SURVEYS[0]


def _is_over(task: Task) -> bool:
    return task.survey is not None and task.survey != _SURVEYS[0]


def close() -> None:
    """End the children of this process, whatever they are doing."""
    with _LOCK:
        _SURVEYS[0] += 1
        children = list(_ALL)
        _IDLE.clear()
        folders = list(_SCRATCH)
        _SCRATCH.clear()
    for child in children:
        child.kill()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(close)


class _Ended(Exception):  # noqa: N818 (it says what is the case)
    """A child ended without an answer.

    Attributes
    ----------
    reply : Reply
        What is said of its task.
    by_limit : bool
        Whether it was ended for a limit, and not for what it or somebody else did.
    """

    def __init__(self, reply: Reply, *, by_limit: bool) -> None:
        super().__init__(reply.reason)
        self.reply, self.by_limit = reply, by_limit

    @property
    def final(self) -> bool:
        """Whether trying again would take as long again."""
        return self.by_limit and self.reply.status == "timed out"


class _Child:
    """A process that computes."""

    def __init__(self, task: Task) -> None:
        self.tasks = 0
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        environment: Mapping[str, str] = {**os.environ, **ONE_THREAD, "OMP_WAIT_POLICY": "PASSIVE"}
        try:
            self._process = subprocess.Popen(
                [*COMMAND, _scratch()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is for the one who asks
            )
        except OSError:
            self._errors.close()
            raise
        with _LOCK:
            _ALL.add(self)
            over = _is_over(task)
        if over:
            self.kill()
            raise CwdaError(_OVER)
        self._receive(Limits(_START))

    def ask(self, task: Task, limits: Limits) -> Reply:
        """Have a task done.

        Raises
        ------
        _Ended
            If the process did not live to answer.
        """
        self.tasks += 1
        assert self._process.stdin is not None
        try:
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
        except OSError:  # it has ended already; reading tells how
            pass
        reply: Reply = self._receive(limits)
        return reply

    def kill(self) -> None:
        """End the process and forget it."""
        with _LOCK:
            _ALL.discard(self)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            with suppress(OSError):  # what was written and not read
                stream.close()

    def _receive(self, limits: Limits) -> Any:
        watch = _Watch(self._process, limits)
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)  # noqa: S301 (our own process wrote it)
        except (EOFError, OSError, pickle.UnpicklingError, ValueError):
            watch.stop()
            code = self._ended()
            last = self._last_words()
            self.kill()
            reply = watch.verdict or Reply(*_obituary(code, last))
            raise _Ended(reply, by_limit=watch.verdict is not None) from None
        finally:
            watch.stop()

    def _ended(self) -> int:
        """How the process ends, of which nothing more is heard."""
        try:  # killed at once, a process that fails would look like one that the system killed
            return self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _last_words(self) -> str:
        """The last line on standard error."""
        try:
            self._errors.seek(0)
            lines = self._errors.read()[-4000:].decode("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            return ""
        return next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")


class _Watch(threading.Thread):
    """Looks at a process, and kills it where it exceeds its limits."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        super().__init__(daemon=True)
        self.verdict: Reply | None = None
        self._process, self._limits = process, limits
        self._over = threading.Event()
        self.start()

    def stop(self) -> None:
        """Look away."""
        self._over.set()
        if self is not threading.current_thread():
            self.join()

    def run(self) -> None:
        """Look until the answer is there or a limit is exceeded."""
        end = time.monotonic() + self._limits.seconds
        while not self._over.wait(_GLANCE):
            if time.monotonic() > end:
                self.verdict = Reply(
                    "timed out", f"took longer than {self._limits.seconds:g} s, and was ended"
                )
            elif self._limits.memory and _memory(self._process.pid) > self._limits.memory:
                size = self._limits.memory / 2**30
                self.verdict = Reply(
                    "out of memory", f"needed more than {size:.3g} GiB, and was ended"
                )
            if self.verdict:
                self._process.kill()
                return


def _scratch() -> str:
    with _LOCK:
        if not _SCRATCH:
            _SCRATCH.append(tempfile.mkdtemp(prefix="cwda-survey-"))
        return _SCRATCH[0]


def _take(task: Task) -> _Child:
    """An idle child, or a new one.

    Raises
    ------
    _Ended
        If it does not live to begin.
    CwdaError
        If none can be started, or the survey is over.
    """
    with _LOCK:
        if _is_over(task):
            raise CwdaError(_OVER)
        if _IDLE:
            return _IDLE.pop()
    try:
        return _Child(task)
    except OSError as error:
        reason = error.strerror or error
        raise CwdaError(f"no process that computes can be started ({reason})") from None


def _obituary(code: int, last: str) -> tuple[Any, str]:
    """Status and reason of a process that ended on its own."""
    if code >= 0:
        return "failed", f"the process ended with code {code}{f': {last}' if last else ''}"
    if -code == getattr(signal, "SIGKILL", 9):
        return "out of memory", "killed by the system, as when memory runs out"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return "failed", f"the process crashed ({name})"


def _memory(pid: int) -> int:
    """Bytes that belong to a process alone; 0 if it has ended."""
    import psutil

    try:
        info = psutil.Process(pid).memory_info()
    except psutil.Error:
        return 0
    return int(info.rss - getattr(info, "shared", 0))


def _memory_of_worker() -> int:
    """What Dask lets a thread of this worker have, less its own; 0 if it sets no limit."""
    own = _own_worker()
    if own is None or not own.memory_manager.memory_limit:
        return 0
    left = int(own.memory_manager.memory_limit) - _memory(os.getpid())
    return max(left, 0) // max(int(own.state.nthreads), 1)


def _address() -> str:
    own = _own_worker()
    return "" if own is None else str(own.address)


def _own_worker() -> Any:
    """The worker of Dask in which this runs; None elsewhere."""
    try:
        from distributed import get_worker

        return get_worker()
    except (ImportError, ValueError):
        return None
