"""The Anderson-Darling statistic of many samples, sorted side by side in compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.polynomial import chebyshev
from scipy import special
from torch import Tensor

from cwda.numerics.compiled.sorted_columns import LANES
from cwda.numerics.compiled.threads import in_threads
from cwda.numerics.normality.loops import loops_for
from cwda.numerics.normality.standard_normal import CONSTANT

__all__ = ["anderson_darling_side_by_side"]

# Longer samples leave the caches in each of the many passes of the sorting network.
_LONGEST = 8192
# Number of values copied at once where a layout or dtype demands it.
_CHUNK = 1 << 20
# Pieces of the log tails between -9 and 9, and coefficients of each: no error but rounding.
_PIECES, _TERMS = 36, 12


def anderson_darling_side_by_side(rows: Tensor) -> Tensor | None:
    """A^2 of each row (m, n), NaN where degenerate; None where compiled loops do not serve.

    The samples stay as they lie, one a column where the rows are a transposed view, 64 of
    them being sorted together.
    """
    m, n = rows.shape
    if n > _LONGEST or m < LANES // 2:
        return None
    names = "sort_columns", "anderson_darling"
    loops = loops_for(rows.numel(), rows.device, "sorted_columns", *names)
    if not loops:
        return None
    found = np.empty(-(-m // LANES) * LANES)
    columns = rows.detach().T
    dtype = torch.float64 if rows.dtype == torch.float64 else torch.float32
    ready = columns.dtype == dtype and columns.is_contiguous()
    width = m if ready else max(1, _CHUNK // (n * LANES)) * LANES
    for start in range(0, m, width):
        chunk = columns[:, start : start + width].to(dtype).contiguous().numpy()
        _test_columns(chunk, found[start:], *loops)
    return torch.from_numpy(found[:m])


def _test_columns(
    columns: npt.NDArray[Any],
    found: npt.NDArray[np.float64],
    sort_columns: Callable[..., None],
    anderson_darling: Callable[..., None],
) -> None:
    table = _log_tails()

    def work(first: int) -> None:
        ordered = np.empty(len(columns) * LANES, columns.dtype)
        sort_columns(columns, first, ordered)
        ordered = ordered.astype(np.float64, copy=False)
        anderson_darling(ordered, CONSTANT, table, found[first : first + LANES])

    in_threads(work, range(0, columns.shape[1], LANES))


@lru_cache(maxsize=1)
def _log_tails() -> npt.NDArray[np.float64]:
    """Polynomials of the sum and the difference of log Phi(z) and log(1 - Phi(z)).

    pieces x terms x 2, highest power first, in z times the number of pieces per unit, from the
    middle of the piece; they interpolate at Chebyshev's nodes.
    """
    width = 18 / _PIECES
    angles = np.pi * (np.arange(_TERMS) + 0.5) / _TERMS
    z = (width * (np.arange(_PIECES) + 0.5) - 9)[:, None] + width / 2 * np.cos(angles)
    lower, upper = special.log_ndtr(z), special.log_ndtr(-z)
    # By way of Chebyshev's series: powers alone would cost four digits.
    series = np.cos(np.outer(angles, np.arange(_TERMS))) * (2 / _TERMS)
    series[:, 0] /= 2
    powers = np.zeros((_TERMS, _TERMS))
    for k in range(_TERMS):
        powers[k, : k + 1] = chebyshev.cheb2poly(np.eye(_TERMS)[k, : k + 1])
    powers = (powers * 2.0 ** np.arange(_TERMS))[:, ::-1]
    parts = [(part @ series) @ powers for part in (lower + upper, lower - upper)]
    return np.ascontiguousarray(np.stack(parts, -1))
