"""`survey`: every source is read, and every network that is new is measured."""

from __future__ import annotations

import logging
import socket
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cwda._version import __version__
from cwda.arguments import as_path, require_between, require_count, require_type
from cwda.errors import CwdaError, SourceError, cause_of
from cwda.formatting import escaped, many
from cwda.progress import Counter, counter, showing
from cwda.surveys.ledger import Ledger
from cwda.surveys.result import Survey
from cwda.surveys.settings import LEVEL, settings
from cwda.surveys.sources.expand import Source, expand
from cwda.surveys.sources.labels import Labels, read_labels
from cwda.surveys.sources.urls import is_url
from cwda.surveys.store import Store
from cwda.surveys.workers import worker
from cwda.surveys.workers.cluster import LOCAL, Cluster, connected, require_distributed
from cwda.surveys.workers.tasks import Limits, Reply, Task

__all__ = ["survey"]

_LOG = logging.getLogger(__name__)

#: Networks that have been read and wait, for each that is being measured: the largest go first.
_AHEAD = 8
#: How often a task is given out anew whose worker failed.
_RETRIES = 2
#: How many patterns of labels without a source are shown.
_SHOWN = 3


def survey(
    sources: str | Path | Iterable[str | Path],
    *,
    output: str | Path,
    labels: str | Path | None = None,
    level: float = LEVEL,
    scheduler: str = LOCAL,
    workers: int | None = None,
    memory: float | None = None,
    timeout: float = 600.0,
    again: bool = False,
    progress: bool = True,
) -> Survey:
    """Measure any number of networks, on this machine or on a cluster.

    Of each network: the eight conditions, layer by layer and for the network as a whole; how
    alike l1, l2, gm and fermat rank its filters, measured and predicted; and whether they can
    tell filters apart. What is done is kept: the same call goes on where it was cut off.

    Parameters
    ----------
    sources : str, Path, or iterable of these
        Files, folders (with all checkpoints in them and below), glob patterns, lists of sources
        (``.txt``: one on each line, # for comments), names of models,
        ``torchvision:PATTERN``, ``timm:PATTERN``, ``hf:ORG/PATTERN``, and URLs such as
        ``s3://bucket/*.pth``.
    output : str or Path
        The folder for the tables; see `read_survey`.
    labels : str or Path, optional
        A CSV file with the columns ``source`` (a pattern), ``task`` and ``family``; networks that
        are done already get these labels too.
    level : float
        Confidence of the intervals of the conditions, on which verdicts rest.
    scheduler : str
        "local" for processes of this machine, or the address of a scheduler of Dask, such as
        ``tcp://HOST:8786``, or its file.
    workers : int, optional
        Number of processes of this machine; by default one for each core, if memory allows.
    memory : float, optional
        GiB that one network may take; by default the memory there is, shared among the workers.
    timeout : float
        Seconds that one network may take.
    again : bool
        Whether sources are tried again that failed before.
    progress : bool
        Whether a bar shows how far it is.

    Returns
    -------
    Survey
        The tables; a source that failed is a row of `networks`, with its reason.

    Raises
    ------
    CwdaError
        If there is no source, the folder cannot be written, is written to by another survey or
        holds one with other settings, the scheduler cannot be reached or is lost, or its workers
        have another version of cwda.
    SourceError
        If the only source is not there, and the folder is new.

    Examples
    --------
    >>> import tempfile, cwda
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     found = cwda.survey(["resnet20-cifar10", "resnet20-cifar10:init"], output=folder)
    ...     found.networks[["name", "status", "verdict"]].values.tolist()
    [['resnet20-cifar10', 'done', 'fails'], ['resnet20-cifar10:init', 'done', 'holds']]
    """
    require_distributed()
    level = require_between(level, 0, 1, "level")
    timeout = require_between(timeout, 0, float("inf"), "timeout, in seconds,")
    require_type(scheduler, str, "the address of a scheduler, or 'local',")
    if workers is not None:
        require_count(workers, 1, "workers")
    if memory is not None:
        memory = require_between(memory, 0, float("inf"), "memory, in GiB,")
    folder = as_path(output)
    given = [sources] if isinstance(sources, str | Path) else _several(sources)
    known = read_labels(labels)
    wanted = expand(given, known)
    _require_begun(folder, wanted)
    if known:
        _tell_unused(known, wanted)
    store = Store(folder)
    store.begin(settings(level))
    ledger = Ledger(store)
    with showing(progress), store.held():
        left = ledger.left(wanted, again=again)
        if known:
            ledger.relabel(wanted)
        readable = [source for source in left if not source.problem]
        for source in left:
            if source.problem:
                ledger.enter(source, reply := Reply("unavailable", source.problem), _now())
                _tell(source, reply)
        if readable:
            with connected(scheduler, workers, memory, len(readable)) as cluster:
                _Run(cluster, ledger, Limits(timeout, cluster.memory), level).over(readable)
    return Survey(folder)


def _require_begun(folder: Path, sources: Sequence[Source]) -> None:
    """Refuse to make a folder for one source that is not there, as after a slip of the keyboard."""
    if len(sources) == 1 and sources[0].problem and not folder.exists():
        raise SourceError(escaped(f"{sources[0].problem}; {folder} was not made"))


def _several(sources: object) -> list[object]:
    if not isinstance(sources, Iterable):
        return [sources]
    return list(sources)


def _tell_unused(labels: Labels, sources: Sequence[Source]) -> None:
    """Warn of labels that no source has: a pattern with a slip is noticed nowhere else."""
    unused = labels.unused((source.text, source.name) for source in sources)
    if unused:
        shown = ", ".join(map(ascii, unused[:_SHOWN])) + (", ..." if len(unused) > _SHOWN else "")
        warnings.warn(
            f"labels: {len(unused)} of {many(len(labels.rows), 'row')} match no source: {shown}",
            stacklevel=3,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class _Waiting:
    """A task that was given out."""

    source: Source
    measures: bool
    cost: float = 0.0


@dataclass
class _Run:
    """Tasks of a survey on their way: read first, so that the largest can be measured first."""

    cluster: Cluster
    ledger: Ledger
    limits: Limits
    level: float
    out: dict[Any, _Waiting] = field(default_factory=dict)

    def over(self, sources: list[Source]) -> None:
        """Read and measure the sources, and keep what is found as soon as it is.

        Raises
        ------
        CwdaError
            If the scheduler is lost, or the folder cannot be written.
        """
        try:
            self._over(sources)
        except OSError:  # of a connection: what the store says is a CwdaError
            raise self._lost() from None

    def _over(self, sources: list[Source]) -> None:
        from distributed import as_completed

        unread = deque(sources)
        with counter("survey", len(sources)) as bar:
            progress = _Progress(bar, len(sources))
            answers = as_completed()
            self._read_on(unread, answers)
            while self.out:
                future = next(answers)
                waiting = self.out.pop(future)
                reply = self._reply(future)
                future.release()
                if self._finish(waiting, reply, answers):
                    _tell(waiting.source, reply)
                    progress.finished(waiting.cost if waiting.measures else 0.0)
                self._read_on(unread, answers)
                progress.show(waiting.cost for waiting in self.out.values() if waiting.measures)

    def _read_on(self, unread: deque[Source], answers: Any) -> None:
        most = _AHEAD * self.cluster.size() + 1
        while unread and len(self.out) < most:
            self._give(_Waiting(unread.popleft(), measures=False), answers, priority=1e9)

    def _give(self, waiting: _Waiting, answers: Any, *, priority: float, near: str = "") -> None:
        """Give a task out; to the worker that is near, if that is free."""
        source = waiting.source
        task = Task(
            source.text,
            source.is_name,
            self.level if waiting.measures else None,
            self.limits,
            __version__,
            self.cluster.survey,
        )
        place = {"workers": [near], "allow_other_workers": True} if near else {}
        future = self.cluster.client.submit(
            worker.work, task, pure=False, retries=_RETRIES, priority=priority, **place
        )
        self.out[future] = waiting
        answers.add(future)

    def _reply(self, future: Any) -> Reply:
        """What a worker answered, or what became of it."""
        from distributed import KilledWorker

        if future.status == "cancelled":
            raise self._lost()
        try:
            reply: Reply = future.result()
        except worker.MixedVersions as error:
            raise CwdaError(f"a worker {error}; install the same version on all") from None
        except KilledWorker:
            return Reply("failed", "its worker was lost, again and again; see the workers' logs")
        except CwdaError:
            raise
        except Exception as error:
            if self._is_of_connection(error, future):
                raise self._lost() from None
            # A defect of one worker must not lose the others.
            return Reply("failed", cause_of(error))
        return reply

    def _is_of_connection(self, error: Exception, future: Any) -> bool:
        """Whether an answer was on its way that a lost connection kept from arriving."""
        if self.cluster.client.status != "running" or future.status == "cancelled":
            return True
        # Fetching may fail moments before the client knows that it has lost the scheduler.
        return future.status != "error" and isinstance(error, OSError | CancelledError)

    def _lost(self) -> CwdaError:
        return CwdaError(
            f"the scheduler at {self.cluster.address} was lost; what is done is kept: run the "
            "same command to go on"
        )

    def _finish(self, waiting: _Waiting, reply: Reply, answers: Any) -> bool:
        """Enter what is final; a network that is new is given out again to be measured."""
        source = waiting.source
        if waiting.measures or reply.status != "done":
            self.ledger.enter(source, self._explained(source, reply), _now())
            return True
        digest = str(reply.facts["hash"])
        other = self.ledger.claim(digest, source)
        if other is not None:
            twin = Reply("duplicate", f"the same weights as {other}", reply.facts)
            self.ledger.enter(source, twin, _now())
            return True
        measuring = _Waiting(source, measures=True, cost=reply.cost)
        near = reply.worker if is_url(source.text) else ""  # which has fetched the file
        self._give(measuring, answers, priority=reply.cost, near=near)
        return False

    def _explained(self, source: Source, reply: Reply) -> Reply:
        """A file that is here and not there is a matter of the cluster."""
        is_here = bool(source.stamp) and "no such file" in reply.reason
        if self.cluster.address == LOCAL or not is_here:
            return reply
        reason = f"{reply.reason} (it is on {socket.gethostname()}, but the worker does not see it)"
        return Reply(reply.status, reason, reply.facts)


class _Progress:
    """How much of the work is done; the largest networks come first, so counting would mislead."""

    def __init__(self, bar: Counter, total: int) -> None:
        self._bar, self._total = bar, total
        self._done, self._cost = 0, 0.0

    def finished(self, cost: float) -> None:
        """One source is finished, which was expected to cost so much."""
        self._done += 1
        self._cost += cost

    def show(self, waiting: Iterable[float]) -> None:
        """Show the share of the work, given what the networks will cost that wait."""
        costs = list(waiting)
        known = self._cost + sum(costs)
        unread = self._total - self._done - len(costs)
        mean = known / max(self._done + len(costs), 1)
        share = self._cost / max(known + unread * mean, 1e-9)
        left = self._total - self._done
        self._bar.update(int(share * self._total), self._total, f"survey ({left} left)")


def _tell(source: Source, reply: Reply) -> None:
    _LOG.info("%s: %s%s", source.text, reply.status, f" ({reply.reason})" if reply.reason else "")
