"""Running the study: replicates of every cell, in any order, in pieces, on several processes."""

from __future__ import annotations

import fnmatch
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import torch

from cwda._version import __version__
from cwda.calibration.cells import Cell, Counts, Key
from cwda.calibration.designs import DESIGNS, SIZES, Size
from cwda.calibration.procedure import Draw, Truth
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.store import Study, read_study
from cwda.conditions import CONDITIONS
from cwda.errors import CwdaError

__all__ = ["calibrate"]

#: Replicates between two writes of the file.
PIECE = 50

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Task:
    """Some replicates of the procedures that share a design and size."""

    design: str
    size: Size
    procedures: tuple[str, ...]
    start: int
    stop: int
    seed: int
    device: str


def calibrate(
    conditions: Sequence[str] | None = None,
    replicates: int = 400,
    output: Path | None = None,
    *,
    designs: str = "*",
    sizes: Sequence[Size] = SIZES,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    on_progress: Progress | None = None,
) -> Study:
    """Measure the errors of tests and intervals on layers drawn from known laws.

    Every replicate has its own seed, made of `seed`, the design, the size and its number. So
    a cell's result depends neither on the other cells nor on interruptions, and a
    file continued with more replicates equals one made at once.

    Parameters
    ----------
    conditions : sequence of str, optional
        Names of `PROCEDURES`: the conditions and the other tests and intervals; all by default.
    replicates : int
        Layers drawn per cell; cells that have more already keep them.
    output : Path, optional
        The file that holds the study, written every 50 replicates of a cell; if it exists, the
        study goes on from there.
    designs : str
        Comma-separated globs of the names of `DESIGNS`.
    sizes : sequence of Size
        Sizes of layers.
    seed : int
        Seed of all draws.
    device : str
        Where the procedures compute; layers are drawn on the CPU, alike for all devices.
    workers : int
        Number of processes.
    on_progress : callable, optional
        Called with the replicates done and their total, over all cells that share a draw.

    Returns
    -------
    Study
        `.table` has a row a procedure, measure, design and size.

    Raises
    ------
    CwdaError
        If a name is unknown, a number impossible, or the file is not of this seed and version.

    Examples
    --------
    >>> study = calibrate(["mean"], 5, designs="iid", sizes=[Size(16, 3, 9)])
    >>> row = study.table.query("measure == 'test'").iloc[0]
    >>> int(row["replicates"]), float(row["nominal"])
    (5, 0.05)
    """
    if replicates < 1 or workers < 1 or seed < 0:
        raise CwdaError("replicates and workers must be 1 or more, the seed 0 or more")
    keys = _keys(_known(conditions), designs, sizes)
    study = _begin(output, seed)
    tasks = list(_tasks(keys, study, replicates, device))
    total, done = sum(task.stop - task.start for task in tasks), 0
    with _mapping(workers) as mapped:
        for task, found in zip(tasks, mapped(_run, tasks), strict=True):
            for name, (truth, counts) in found.items():
                key = Key(name, task.design, task.size)
                study.cells.setdefault(key, Cell(truth)).add(task.stop - task.start, counts)
            if output:
                study.write(output)
            done += task.stop - task.start
            if on_progress:
                on_progress(done, total)
    return study


def _known(names: Sequence[str] | None) -> list[str]:
    for name in names or ():
        if name not in PROCEDURES:
            raise CwdaError(f"unknown name {name!r}; choose from {', '.join(PROCEDURES)}")
    return list(names or PROCEDURES)


def _keys(names: Sequence[str], designs: str, sizes: Sequence[Size]) -> list[Key]:
    patterns = [pattern.strip() for pattern in designs.split(",")]
    chosen = [d for d in DESIGNS if any(fnmatch.fnmatchcase(d, each) for each in patterns)]
    keys = [
        Key(name, design, size)
        for design in chosen
        for size in sizes
        for name in names
        if design in PROCEDURES[name].designs and PROCEDURES[name].applies(size)
    ]
    if not keys:
        raise CwdaError(
            f"nothing to do for designs {designs!r}; they are called {', '.join(DESIGNS)}"
        )
    return keys


def _begin(output: Path | None, seed: int) -> Study:
    if output is None or not output.exists():
        study = Study(seed)
        if output:
            study.write(output)  # what cannot be written is told before the work
        return study
    study = read_study(output)
    made = study.versions.get("cwda")
    if study.seed != seed or made != __version__:
        raise CwdaError(
            f"{output} was made with seed {study.seed} and cwda {made}, not seed {seed} and "
            f"cwda {__version__}; name another file or remove it"
        )
    return study


def _tasks(keys: Sequence[Key], study: Study, replicates: int, device: str) -> Iterator[_Task]:
    together: dict[tuple[str, Size], dict[str, int]] = {}
    for key in keys:
        cell = study.cells.get(key)
        group = together.setdefault((key.design, key.size), {})
        group[key.procedure] = cell.replicates if cell else 0
    for (design, size), done in together.items():
        ends = sorted({*range(0, replicates, PIECE), *done.values(), replicates})
        for start, stop in itertools.pairwise(ends):
            names = tuple(name for name, count in done.items() if count <= start)
            if names and stop <= replicates:
                yield _Task(design, size, names, start, stop, study.seed, device)


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[dict[str, tuple[Truth, Counts]]]]]:
    """`map`, here or on processes of their own; in the order of the tasks either way."""
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
    with _interruption_ignored():  # from the first moment on: a child inherits it
        pool.submit(int)
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interruption_ignored() -> Iterator[None]:
    """No Ctrl-C, where that can be said: only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(task: _Task) -> dict[str, tuple[Truth, Counts]]:
    """Counts by procedure."""
    design = DESIGNS[task.design]
    conditions = _conditions_of(task.procedures)
    found: dict[str, tuple[Truth, Counts]] = {
        name: (PROCEDURES[name].truth(design, task.size, task.seed), {}) for name in task.procedures
    }
    for replicate in range(task.start, task.stop):
        draw = Draw(design, task.size, task.seed, replicate, task.device, conditions)
        for name, (truth, counts) in found.items():
            for measure, happened in PROCEDURES[name].outcomes(draw, truth.value).items():
                before = counts.get(measure, (0, 0))
                counts[measure] = (before[0] + bool(happened), before[1] + 1)
    return found


def _conditions_of(procedures: Sequence[str]) -> list[str]:
    """The conditions that the procedures ask of a draw."""
    asked = {PROCEDURES[name].condition for name in procedures}
    return [name for name in CONDITIONS if name in asked]
