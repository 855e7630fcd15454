"""The loop that works on the cells that are not done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from cwda.grid.cell import Cell
from cwda.grid.store import Store
from cwda.progress import counter

__all__ = ["run"]

C = TypeVar("C", bound=Cell[Any])


def run(
    cells: Iterable[C],
    work: Callable[[C], Any],
    *,
    store: Store,
    what: str,
    size: Callable[[C], float] = lambda cell: 1,
    mapped: Callable[..., Iterator[Any]] = map,
) -> None:
    """Work on each cell that the store lacks, and keep its record as soon as it is done.

    Parameters
    ----------
    cells : iterable of Cell
        In the order of the work.
    work : callable
        Maps a cell to its record, or to None if it was not finished; nothing is kept then.
    store : Store
        Holds what is done.
    what : str
        Title of the progress bar.
    size : callable
        Amount of work in a cell, in any unit.
    mapped : callable
        `map`, or that of a pool of processes.
    """
    missing = [cell for cell in cells if cell not in store]
    if not missing:
        return  # a bar without steps would say nothing
    sizes = [size(cell) for cell in missing]
    with counter(what, sum(sizes)) as bar:
        records, done, total = mapped(work, missing), 0.0, sum(sizes)
        for cell, amount in zip(missing, sizes, strict=True):
            bar.update(done, total, f"{what}: {cell}")
            record = next(records)
            if record is not None:
                store.keep(cell, record)
            done += amount
            bar.update(done, total)
