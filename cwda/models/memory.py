"""Work on as many images of a batch at a time as memory holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from cwda.errors import OutOfMemory
from cwda.numerics.device import is_out_of_memory

__all__ = ["Chunks"]

T = TypeVar("T")


class Chunks:
    """Repeats work on a batch with half as many images at a time while memory runs out.

    The number that fitted is kept for the batches that follow; a `RuntimeWarning` reports each
    halving.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.memory import Chunks
    >>> Chunks(size=2).run(5, lambda size: [len(part) for part in torch.zeros(5).split(size)])
    [2, 2, 1]
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size

    def run(self, n: int, work: Callable[[int], T]) -> T:
        """What `work` returns for a batch of n images when told how many to take at a time.

        It starts afresh after a failure, so it must not change anything before it returns.

        Raises
        ------
        OutOfMemory
            If not even one image fits.
        """
        while True:
            size = min(self.size or n, n)
            try:
                return work(size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler, so that the traceback no longer holds the tensors.
            if size == 1:
                raise OutOfMemory(
                    "out of memory with a single image; take device 'cpu', or give smaller images"
                )
            self.size = size // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            warnings.warn(
                f"out of memory with {size} images at a time; going on with {self.size}",
                RuntimeWarning,
                stacklevel=2,
            )
