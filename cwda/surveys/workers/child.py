"""The process that computes: one network after the other, on one thread, until it is ended.

``python -m cwda.surveys.workers.child FOLDER`` reads tasks from standard input and writes replies
to standard output. FOLDER is for what is fetched from URLs. A worker starts it, watches it, and
kills it where a source hangs or takes too much memory; so neither that nor a crash reaches the
worker.
"""

from __future__ import annotations

import os
import pickle
import queue
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from cwda.surveys.workers.tasks import Reply, Task

__all__ = ["READY", "main"]

#: First word of a child, once everything is imported.
READY = "ready"

#: New objects after which a child looks for cycles among them.
_OBJECTS = 50_000


def main() -> None:
    """Answer tasks until standard input ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print does not mix with the replies
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    scratch = Path(sys.argv[1])
    threading.Thread(target=_listen, args=(requests, tasks, scratch), daemon=True).start()
    _prepare()
    _send(replies, READY)
    while True:
        _send(replies, _answer(tasks.get(), scratch))


def _listen(requests: BinaryIO, tasks: queue.SimpleQueue[Task], scratch: Path) -> None:
    """Hand tasks on; a child whose worker has gone ends, whatever it is doing, and tidies up."""
    while True:
        try:
            tasks.put(pickle.load(requests))  # noqa: S301 (the worker that started us wrote it)
        except (EOFError, OSError):
            shutil.rmtree(scratch, ignore_errors=True)
            os._exit(0)


def _send(replies: BinaryIO, reply: Any) -> None:
    pickle.dump(reply, replies, protocol=pickle.HIGHEST_PROTOCOL)
    replies.flush()


def _prepare() -> None:
    """Import what is needed, and let no library start threads of its own."""
    import gc
    import logging

    import torch

    import cwda.surveys.workers.measure  # noqa: F401

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    logging.disable(logging.WARNING)
    gc.freeze()  # a million objects of the libraries, none of which ever dies
    gc.set_threshold(_OBJECTS)


def _answer(task: Task, scratch: Path) -> Reply:
    from cwda.errors import CwdaError, OutOfMemory, cause_of
    from cwda.surveys.workers.tasks import Reply

    started, busy = time.perf_counter(), time.process_time()
    _forget_peak()
    try:
        reply = _work(task, scratch)
    except (MemoryError, OutOfMemory) as error:
        reply = Reply("out of memory", str(error) or "memory ran out")
    except CwdaError as error:
        reply = Reply("failed", str(error))
    except Exception as error:  # a defect in one network must not lose the others
        memory = isinstance(error, RuntimeError) and "allocate memory" in str(error)
        reply = Reply("out of memory" if memory else "failed", cause_of(error))
    spent: dict[str, Any] = {
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - busy,
        "peak_memory": _peak() / 2**20,
    }
    return Reply(reply.status, reply.reason, {**reply.facts, **spent}, reply.cost, reply.parts)


def _work(task: Task, scratch: Path) -> Reply:
    from cwda.loading import ModelName, load
    from cwda.surveys.sources.urls import at_hand, forget, is_url
    from cwda.surveys.workers.measure import cost_of, fingerprint, measure
    from cwda.surveys.workers.tasks import Reply

    source = task.source
    if is_url(source):
        network = load(at_hand(source, scratch))
    else:
        network = load(ModelName(source) if task.is_name else Path(source))
    facts: dict[str, str | int | float] = {
        "name": network.name,
        "hash": fingerprint(network),
        "n_layers": len(network),
        "n_filters": sum(layer.n_filters for layer in network),
        "n_weights": network.n_weights,
        "format": network.provenance.format,
        "sha256": network.provenance.sha256 or "",
    }
    if task.level is None:
        return Reply("done", facts=facts, cost=cost_of(network))
    parts, verdict, sentence = measure(network, task.level)
    if is_url(source):
        forget(source, scratch)
    return Reply("done", facts={**facts, "verdict": verdict, "sentence": sentence}, parts=parts)


def _forget_peak() -> None:
    """Let Linux count the largest memory anew."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:  # another system, or not allowed
        pass


def _peak() -> int:
    """The largest memory of this process, in bytes: since `_forget_peak`, where that works."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main()
