"""`calibrate`: replicates of every case, in blocks, in any order, on several processes."""

from __future__ import annotations

import fnmatch
import itertools
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import torch

from cwda._version import __version__
from cwda.arguments import as_path, choose, require_count, require_type
from cwda.calibration.blocks import Block, Case, Population, Tallies, Tally, Truths, tallies
from cwda.calibration.designs import DESIGNS, sizes_of
from cwda.calibration.laws import Size
from cwda.calibration.procedure import Draw, Truth
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.result import KIND, CalibrationResult, result_of
from cwda.calibration.truths import measured_truths
from cwda.conditions import CONDITIONS
from cwda.errors import CwdaError
from cwda.grid import Store, run
from cwda.numerics.device import resolve_device
from cwda.progress import showing
from cwda.typing import Device

__all__ = ["calibrate"]

#: Replicates between two lines of the file.
BLOCK = 50


def calibrate(
    procedures: Sequence[str] | None = None,
    *,
    designs: str = "*",
    sizes: Sequence[Size] | None = None,
    replicates: int = 400,
    output: str | Path | None = None,
    workers: int = 1,
    device: Device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> CalibrationResult:
    """Measure the errors of tests and intervals on layers drawn from known laws.

    Every replicate has its own seed, made of `seed`, the design, the size and its number. So
    a rate depends neither on what else is measured nor on interruptions, and a
    file continued with more replicates gives the same rates as one made at once.

    Parameters
    ----------
    procedures : sequence of str, optional
        Names of `PROCEDURES`: the conditions and the other tests and intervals; all by default.
    designs : str
        Comma-separated globs of the names of `DESIGNS`.
    sizes : sequence of Size, optional
        Sizes of layers; by default those that `sizes_of` gives for each design. A design is not
        drawn at a size that cannot depart so far.
    replicates : int
        Layers drawn per procedure, design and size; those that have more already keep them.
    output : str or Path, optional
        The file that keeps every 50 replicates as soon as they are done; if it exists, the
        calibration resumes there.
    workers : int
        Number of processes.
    device : str or torch.device
        Where the procedures compute: "auto" (CUDA if there is one), "cpu", "cuda", ... Layers
        are drawn on the CPU, the same for all devices.
    seed : int
        Seed of all draws.
    progress : bool
        Show a progress bar.

    Returns
    -------
    CalibrationResult
        `.table` has one row per procedure, measure, design and size.

    Raises
    ------
    CwdaError
        If a name is unknown, a number impossible, or the file is not of this seed and version.

    Examples
    --------
    >>> found = calibrate(["mean"], designs="iid", sizes=[Size(16, 3, 9)], replicates=5)
    >>> row = found.table.query("measure == 'test'").iloc[0]
    >>> int(row["replicates"]), float(row["nominal"])
    (5, 0.05)
    """
    for what, value, least in (("replicates", replicates, 1), ("workers", workers, 1),
                               ("seed", seed, 0)):  # fmt: skip
        require_count(value, least, what)
    device = resolve_device(device)
    require_type(designs, str, "a text with the names of designs, such as 'mean *',")
    if sizes is not None:
        sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
        for size in sizes:
            require_type(size, Size, "a size of layers, such as Size(64, 16, 9),")
    cases = cases_of(procedures, designs, sizes)
    path = None if output is None else as_path(output)
    store = Store(path, KIND, {"seed": seed, "cwda": __version__})
    done = tallies(store)
    blocks = list(_blocks(cases, done, replicates))
    with showing(progress), _mapping(workers) as mapped:
        run(
            list(_populations(blocks, done)),
            partial(_measure_truth, seed=seed),
            store=store,
            what="truths",
            mapped=mapped,
        )
        run(
            blocks,
            partial(_measure, seed=seed, device=str(device), known=_known_truths(store, done)),
            store=store,
            what="calibration",
            size=lambda block: block.stop - block.start,
            mapped=mapped,
        )
    return result_of(store)


def cases_of(procedures: object, designs: str, sizes: Sequence[Size] | None = None) -> list[Case]:
    """The procedures, designs and sizes that belong together.

    Raises
    ------
    CwdaError
        If a procedure is unknown, or nothing is left to do.
    """
    names = choose(procedures, PROCEDURES, "procedure")
    patterns = [pattern.strip() for pattern in designs.split(",")]
    matching = [d for d in DESIGNS if any(fnmatch.fnmatchcase(d, p) for p in patterns)]
    cases = [
        Case(name, design, size)
        for design in matching
        for size in (sizes_of(design) if sizes is None else sizes)
        if DESIGNS[design].fits(size)
        for name in names
        if design in PROCEDURES[name].designs and PROCEDURES[name].applies(size)
    ]
    if not cases:
        raise CwdaError(
            f"nothing to do for designs {designs!r}; they are called {', '.join(DESIGNS)}"
        )
    return cases


def _blocks(cases: Sequence[Case], done: Mapping[Case, Tally], replicates: int) -> Iterator[Block]:
    together: dict[tuple[str, Size], dict[str, int]] = {}
    for case in cases:
        group = together.setdefault((case.design, case.size), {})
        group[case.procedure] = done[case].replicates if case in done else 0
    for (design, size), counts in together.items():
        ends = sorted({*range(0, replicates, BLOCK), *counts.values(), replicates})
        for start, stop in itertools.pairwise(ends):
            names = tuple(name for name, count in counts.items() if count <= start)
            if names and stop <= replicates:
                yield Block(design, size, names, start, stop)


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """`map`, here or on processes of their own; in the order of the blocks either way."""
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


def _populations(blocks: Iterable[Block], done: Mapping[Case, Tally]) -> Iterator[Population]:
    """Those whose truths are asked for, have no closed form, and have not been measured."""
    wanted: dict[tuple[str, int, int], None] = {}
    for block in blocks:
        law = DESIGNS[block.design]
        if "dependent filters" in law.departures:  # more of them would be other layers
            continue
        for name in block.procedures:
            condition = PROCEDURES[name].condition
            new = condition == name and Case(name, block.design, block.size) not in done
            if new and math.isnan(law.truth(condition, block.size)):
                wanted[block.design, block.size.channels, block.size.kernel_size] = None
    for design, channels, kernel_size in wanted:
        measured = (name for name in CONDITIONS if name in PROCEDURES)
        names = tuple(name for name in measured if design in PROCEDURES[name].designs)
        yield Population(design, channels, kernel_size, names)


def _measure_truth(population: Population, *, seed: int) -> Truths:
    shape = population.channels, population.kernel_size
    law = DESIGNS[population.design]
    return Truths(measured_truths(law, *shape, population.conditions, seed))


#: True values by procedure, design, channels and positions of the kernel.
_Known = Mapping[tuple[str, str, int, int], Truth]


def _known_truths(store: Store, done: Mapping[Case, Tally]) -> _Known:
    known = {
        (case.procedure, case.design, case.size.channels, case.size.kernel_size): tally.truth
        for case, tally in done.items()
        if tally.truth.error
    }
    for population, record in store.all(Population):
        for name, truth in record.truths.items():
            known[name, population.design, population.channels, population.kernel_size] = truth
    return known


def _measure(block: Block, *, seed: int, device: str, known: _Known) -> Tallies:
    design, names = DESIGNS[block.design], block.procedures
    conditions = _conditions_of(names)
    truths = {}
    for name in names:
        truth = PROCEDURES[name].truth(design, block.size, seed)
        if math.isnan(truth.value):
            key = name, block.design, block.size.channels, block.size.kernel_size
            truth = known.get(key, truth)
        truths[name] = truth
    counts: dict[str, dict[str, tuple[int, int]]] = {name: {} for name in names}
    for replicate in range(block.start, block.stop):
        draw = Draw(design, block.size, seed, replicate, device, conditions)
        for name in names:
            outcomes = PROCEDURES[name].outcomes(draw, truths[name].value)
            for measure, happened in outcomes.items():
                before = counts[name].get(measure, (0, 0))
                counts[name][measure] = (before[0] + bool(happened), before[1] + 1)
    size = block.stop - block.start
    return Tallies({name: Tally(truths[name], size, counts[name]) for name in names})


def _conditions_of(procedures: Sequence[str]) -> list[str]:
    """The conditions that the procedures ask of a draw."""
    asked = {PROCEDURES[name].condition for name in procedures}
    return [name for name in CONDITIONS if name in asked]
