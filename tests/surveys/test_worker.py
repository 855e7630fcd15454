"""Processes that hang, crash or take all memory are rows with their reasons."""

import pytest

import cwda
from cwda import __version__
from cwda.surveys.workers import worker
from cwda.surveys.workers.tasks import Limits, Task

MIB = 2**20


def task(path, seconds=30.0, memory=0, version=__version__):
    return Task(str(path), False, 0.9, Limits(seconds, memory), version)


def test_a_process_that_hangs_is_ended(stand_in, make):
    reply = worker.work(task(make("hang.pth") / "hang.pth", seconds=0.5))
    assert (reply.status, reply.reason) == ("timed out", "took longer than 0.5 s, and was ended")


def test_a_process_that_takes_too_much_memory_is_ended(stand_in, make):
    reply = worker.work(task(make("eat.pth") / "eat.pth", memory=128 * MIB))
    assert reply.status == "out of memory"
    assert reply.reason == "needed more than 0.125 GiB, and was ended"


def test_a_crash_is_tried_once_more_and_then_told(stand_in, make):
    reply = worker.work(task(make("crash.pth") / "crash.pth"))
    assert (reply.status, reply.reason) == ("failed", "the process crashed (SIGSEGV)")


def test_a_process_that_somebody_kills_costs_nothing(stand_in, make):
    reply = worker.work(task(make("once.pth") / "once.pth"))
    assert reply.status == "done"
    assert (stand_in / "log.txt").read_text() == "once.pth\n"


def test_processes_are_kept_and_end_with_close(stand_in, make):
    folder = make("a.pth", "b.pth")
    for name in ("a.pth", "b.pth"):
        assert worker.work(task(folder / name)).status == "done"
    (child,) = worker._ALL
    assert child.tasks == 2
    worker.close()
    assert child._process.poll() is not None


def test_another_version_is_refused(stand_in, make):
    with pytest.raises(worker.MixedVersions, match=r"has cwda .*, and this machine 0.0.1"):
        worker.work(task(make("a.pth") / "a.pth", version="0.0.1"))


def test_a_process_that_cannot_start_is_one_line(stand_in, make, monkeypatch):
    monkeypatch.setattr(worker, "COMMAND", ["/nowhere/python"])
    with pytest.raises(cwda.CwdaError, match=r"can be started \(No such file or directory\)"):
        worker.work(task(make("a.pth") / "a.pth"))
