"""As many threads of torch as a piece of work is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["FEW", "few_threads"]

#: Weights of a layer below which one thread does its work; compiled loops, which share theirs out
#: among threads, are used from there on.
FEW = 1 << 19


@contextmanager
def few_threads(weights: int) -> Iterator[None]:
    """Leave the work on so few weights to one thread of torch; more keep what torch has.

    Small tensors gain next to nothing by a second thread. Where other programs run, it costs:
    threads of OpenMP wait for one another by spinning, and spin while neither has a core.

    Parameters
    ----------
    weights : int
        Number of weights that the work is about.

    Examples
    --------
    >>> with few_threads(9216):
    ...     torch.get_num_threads()
    1
    """
    threads = torch.get_num_threads()
    if weights >= FEW or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
