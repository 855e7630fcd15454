"""Work shared out over threads, for loops that release the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import torch

__all__ = ["in_threads"]

T = TypeVar("T")


def in_threads(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Call `work` with each item, on as many threads as torch has been given.

    Threads take the next item when they are free; the calling thread is one of them. No thread
    outlives the call, since a forked process would wait for it.

    Examples
    --------
    >>> squares = {}
    >>> in_threads(lambda n: squares.update({n: n * n}), [1, 2, 3])
    >>> sorted(squares.items())
    [(1, 1), (2, 4), (3, 9)]
    """
    left = list(items)[::-1]

    def take() -> None:
        while left:
            try:
                item = left.pop()
            except IndexError:  # another thread took the last
                return
            work(item)

    others = min(torch.get_num_threads(), len(left)) - 1
    with ExitStack() as stack:
        futures = []
        if others > 0:
            pool = stack.enter_context(ThreadPoolExecutor(others))
            futures = [pool.submit(take) for _ in range(others)]
        take()
    for future in futures:
        future.result()  # raises what was raised there
