"""Sorting of many samples at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

__all__ = ["sort_rows"]

# Fewer values than this are sorted faster by one thread than by two that must be started, and
# that share the cores with those torch keeps waiting for its next task.
_WORTH_A_THREAD = 1 << 19


def sort_rows(rows: Tensor) -> Tensor:
    """Sort each row of a matrix in ascending order, NaN last.

    On the CPU the work is done by numpy, whose vectorised sort is 5 to 10 times faster than
    that of torch and releases the interpreter lock, so that rows are shared out over
    ``torch.get_num_threads()`` threads. Sort before converting float32 to float64: the order is
    the same and the sort takes half the time.

    Parameters
    ----------
    rows : Tensor
        Shape (m, n), any floating dtype, any strides; left as it is.

    Returns
    -------
    Tensor
        Contiguous copy, same shape, dtype and device.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.sorting import sort_rows
    >>> sort_rows(torch.tensor([[3.0, 1.0, 2.0], [0.0, -1.0, float("nan")]]))
    tensor([[ 1.,  2.,  3.],
            [-1.,  0., nan]])
    """
    rows = rows.detach()
    if rows.device.type != "cpu":
        return torch.sort(rows, dim=1).values
    if rows.dtype == torch.bfloat16:  # numpy has no bfloat16; float32 holds it exactly
        return sort_rows(rows.float()).bfloat16()
    ordered = rows.clone(memory_format=torch.contiguous_format)
    shared = ordered.numpy()
    threads = min(torch.get_num_threads(), len(shared), shared.size // _WORTH_A_THREAD)
    if threads <= 1:
        shared.sort(axis=1)
    else:
        shares = [
            shared[i * len(shared) // threads : (i + 1) * len(shared) // threads]
            for i in range(threads)
        ]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda share: share.sort(axis=1), shares))
    return ordered
