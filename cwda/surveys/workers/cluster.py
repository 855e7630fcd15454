"""The workers of a survey: those of this machine, or of a cluster that runs already."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cwda._version import __version__
from cwda.errors import CwdaError, reason_of
from cwda.progress import waiting
from cwda.surveys.workers import worker

__all__ = ["LOCAL", "Cluster", "connected", "require_distributed"]

#: The scheduler that is started and stopped by the survey.
LOCAL = "local"

#: Seconds in which a scheduler has to answer.
_PATIENCE = 10

#: Seconds between two counts of the workers.
_COUNTED = 5.0

#: Bytes that a process needs for its libraries and a common network.
_LEAST_MEMORY = 2**30
#: Bytes that it needs for its libraries alone.
_OF_LIBRARIES = 2**29
#: Share of the machine's memory that workers may take together.
_SHARE = 0.9


@dataclass(frozen=True)
class Cluster:
    """Workers that can be given tasks.

    Attributes
    ----------
    client : Client
        That of Dask.
    address : str
        Of the scheduler, or "local".
    memory : int
        Bytes that one network may take; 0 if its worker knows.
    survey : int or None
        Number for the tasks, where workers are threads of this process.
    """

    client: Any
    address: str
    memory: int
    survey: int | None = None
    _counted: list[float] = field(default_factory=lambda: [0.0, 1.0])

    def size(self) -> int:
        """How many networks are computed at once, as of some seconds ago; 1 or more."""
        last, number = self._counted
        if time.monotonic() > last + _COUNTED:
            number = max(sum(self.client.nthreads().values()), 1)
            self._counted[:] = [time.monotonic(), number]
        return int(number)


def require_distributed() -> None:
    """Raise unless Dask is installed.

    Raises
    ------
    CwdaError
        If it is not.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise CwdaError('a survey needs Dask: pip install "cwda[survey]"') from None


@contextmanager
def connected(
    scheduler: str, workers: int | None, memory: float | None, networks: int
) -> Iterator[Cluster]:
    """Workers for the time of a survey.

    Parameters
    ----------
    scheduler : str
        "local", the address of a scheduler, or its file.
    workers : int or None
        Number of workers to start, for "local".
    memory : float or None
        GiB that one network may take; by default what there is, shared among the workers.
    networks : int
        How many there are; no more workers are started.

    Raises
    ------
    CwdaError
        If there is no memory for so many workers, the scheduler cannot be reached, or its workers
        have another version of cwda.
    """
    limit = 0 if memory is None else int(memory * 2**30)
    if scheduler == LOCAL:
        with _local(workers, limit, networks) as cluster:
            yield cluster
        return
    if workers is not None:
        raise CwdaError("a running cluster has its own number of workers; leave workers out")
    client = _client(scheduler)
    try:
        _require_workers(client, scheduler)
        yield Cluster(client, scheduler, limit)
    finally:
        with suppress(OSError, TimeoutError):  # a scheduler that is gone
            client.close(timeout=_PATIENCE)


@contextmanager
def _local(workers: int | None, memory: int, networks: int) -> Iterator[Cluster]:
    """Workers of this machine: threads of this process, each of which has a process compute."""
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    usable = int(_SHARE * MEMORY_LIMIT)
    room = max(usable // (memory or _LEAST_MEMORY), 1)
    number = min(workers or min(CPU_COUNT, room), networks)
    if workers and number * (memory or _OF_LIBRARIES) > usable:
        raise CwdaError(
            f"{number} workers with {(memory or _OF_LIBRARIES) / 2**30:.3g} GiB each are more than "
            f"the {usable / 2**30:.3g} GiB that this machine can spare; give fewer workers"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a machine without a network is no matter here
        cluster = LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",  # any port: others may run a cluster too
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        )
    try:
        client = Client(cluster)
        try:
            share = memory or math.floor(usable / number)
            yield Cluster(client, LOCAL, share, worker.begin())
        finally:
            worker.close()  # tasks that still run would be waited for
            with suppress(TimeoutError):
                client.close(timeout=_PATIENCE)
    finally:
        with suppress(TimeoutError):
            cluster.close(timeout=_PATIENCE)


def _client(scheduler: str) -> Any:
    """A client of a scheduler that runs."""
    from distributed import Client

    address = _address_in(Path(scheduler)) if scheduler.endswith(".json") else scheduler
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of versions is looked at below
        try:
            _require_answer(address)
            return Client(address, timeout=_PATIENCE)
        except Exception as error:  # each kind of address fails in its own way
            reason = reason_of(error, 120)
            raise CwdaError(
                f"{scheduler}: no scheduler of Dask answers there ({reason}); give its address, "
                "such as tcp://HOST:8786, or its file"
            ) from None


def _require_answer(address: str) -> None:
    """Raise unless what listens there speaks as Dask does; a client would wait for ever.

    Raises
    ------
    OSError, ValueError
        If nothing answers, or the address is none.
    """
    from distributed.comm.addressing import parse_address
    from distributed.comm.core import connect

    if parse_address(address)[0] != "tcp":  # which alone needs nothing else to be asked
        return

    async def ask() -> None:
        try:
            comm = await asyncio.wait_for(connect(address, timeout=_PATIENCE), 2 * _PATIENCE)
        except TimeoutError:
            raise OSError("what listens there says nothing") from None
        comm.abort()

    with ThreadPoolExecutor(1) as aside:  # a notebook's own thread runs a loop already
        aside.submit(asyncio.run, ask()).result()


def _address_in(path: Path) -> str:
    """The address of a scheduler, from the file that it writes."""
    if not path.is_file():
        raise CwdaError(f"{path}: no such file of a scheduler; is it running?")
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError):
        raise CwdaError(
            f"{path}: no file of a scheduler, such as `dask scheduler --scheduler-file` writes"
        ) from None


def _require_workers(client: Any, scheduler: str) -> None:
    """Wait for a worker, and see that all there are can do the work."""
    with waiting(f"waiting for a worker of {scheduler}"):
        client.wait_for_workers(1)
    for address, found in client.run(worker.version, on_error="return").items():
        if isinstance(found, Exception):
            raise CwdaError(
                f"the worker {address} cannot use cwda ({reason_of(found)}); install cwda "
                f"{__version__} with its extra survey there"
            )
        if found != __version__:
            raise CwdaError(
                f"the worker {address} has cwda {found}, and this machine {__version__}; install "
                "the same version on all"
            )
