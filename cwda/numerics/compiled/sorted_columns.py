"""Columns of a matrix sorted 64 at a time, and their Anderson-Darling statistics."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["LANES", "SIGNATURES", "anderson_darling", "sort_columns"]

SIGNATURES = {
    "sort_columns": [
        "void(float32[:,::1], int64, float32[::1])",
        "void(float64[:,::1], int64, float64[::1])",
    ],
    "anderson_darling": "void(float64[::1], float64, float64[:,:,::1], float64[::1])",
}

LANES = 64
"""Columns that are worked on together, so that each step is one of whole vectors."""


def sort_columns(x: np.ndarray, first: int, ordered: np.ndarray) -> None:
    """Sort 64 columns by Batcher's network, in which no comparison hangs on another's outcome.

    Parameters
    ----------
    x : ndarray
        Rows x columns, float32 or float64. A column that is not finite comes out as zeros.
    first : int
        The first of the columns; those that are missing to 64 are filled with zeros.
    ordered : ndarray
        Rows x 64, flat, of the type of x; overwritten.

    References
    ----------
    K. Batcher (1968), Sorting networks and their applications, AFIPS 32, 307-314.
    """
    n, width = x.shape[0], min(LANES, x.shape[1] - first)
    bad = np.zeros(LANES, x.dtype)
    for i in range(n):
        row = x[i, first : first + width]
        into = ordered[i * LANES : (i + 1) * LANES]
        into[width:] = 0
        for lane in range(width):
            into[lane] = row[lane]
            bad[lane] += row[lane] - row[lane]  # NaN if one is not finite
    merged = 1
    while merged < n:
        apart = merged
        while apart >= 1:
            for i in range(apart % merged, n - apart, 2 * apart):
                if apart < merged and (i + apart) % (2 * merged) == 0:
                    continue  # the two would belong to different runs
                top = ordered[i * LANES : (i + apart) * LANES]
                bottom = ordered[(i + apart) * LANES : min(i + 2 * apart, n) * LANES]
                for k in range(bottom.shape[0]):
                    a, b = top[k], bottom[k]
                    top[k] = min(a, b)
                    bottom[k] = max(a, b)
            apart //= 2
        merged *= 2
    for lane in range(LANES):
        if bad[lane] != 0:
            ordered[lane::LANES] = 0


def anderson_darling(
    ordered: np.ndarray, constant: float, table: np.ndarray, a_squared: np.ndarray
) -> None:
    """A^2 of 64 sorted columns, mean and variance estimated; NaN where they are degenerate.

    A^2 = -sum_i (s(z_i) + w_i d(z_i) + 1), w_i = (2 i - 1 - n) / n, where s and d are the sum
    and the difference of log Phi(z) and log(1 - Phi(z)): polynomials between -9 and 9, a
    continued fraction beyond. The lanes of a rank have nearly the same value, so that most of
    them share one polynomial.

    Parameters
    ----------
    ordered : ndarray
        Rows x 64, flat, float64, sorted, finite.
    constant : float
        Columns whose range is below twice this share of their size are constant.
    table : ndarray
        36 x 12 x 2: s and d in powers of 2 z from the middle of each piece, highest first.
    a_squared : ndarray
        64 numbers, float64; overwritten.
    """
    n = ordered.shape[0] // LANES
    unit, mean, factor = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    middle, total, bad = np.empty(LANES), np.zeros(LANES), np.zeros(LANES)
    y, piece = np.empty(LANES), np.empty(LANES)
    for lane in range(LANES):
        low, high = ordered[lane], ordered[(n - 1) * LANES + lane]
        size = max(abs(low), abs(high))
        varied = high / 2 - low / 2 > constant * size
        if varied:
            unit[lane] = math.ldexp(1.0, -min(max(math.frexp(size)[1], -1022), 1022))
        else:
            bad[lane] = np.nan
        # Sums of distances from the middle value lose no digits to the place of the sample.
        middle[lane] = ordered[n // 2 * LANES + lane] * unit[lane]
    for i in range(n):
        row = ordered[i * LANES : (i + 1) * LANES]
        for lane in range(LANES):
            mean[lane] += row[lane] * unit[lane] - middle[lane]
    for lane in range(LANES):
        mean[lane] = mean[lane] / n + middle[lane]
    for i in range(n):
        row = ordered[i * LANES : (i + 1) * LANES]
        for lane in range(LANES):
            x = row[lane] * unit[lane] - mean[lane]
            factor[lane] += x * x
    for lane in range(LANES):
        if bad[lane] == 0.0:
            factor[lane] = 1.0 / (math.sqrt(factor[lane]) / math.sqrt(n - 1.0))
        else:  # z is then 0, whatever the values
            unit[lane], mean[lane], factor[lane] = 0.0, 0.0, 0.0
    for i in range(n):
        row = ordered[i * LANES : (i + 1) * LANES]
        weight = (2.0 * i + 1.0 - n) / n
        present = np.uint64(0)
        for lane in range(LANES):
            z = (row[lane] * unit[lane] - mean[lane]) * factor[lane]
            at = z * 2.0 + 19.0
            y[lane] = at
            at = np.floor(min(max(at, 0.0), 37.0))
            piece[lane] = at
            present |= np.uint64(1) << np.uint64(np.int32(at))
        if present & np.uint64((1 << 37) + 1):
            for lane in range(LANES):
                if 1.0 <= piece[lane] < 37.0:
                    continue
                a = abs(y[lane] - 19.0) / 2.0
                mills = a
                for k in range(int(10.0 + 180.0 / a), 0, -1):
                    mills = a + k / mills
                log_tail = -0.5 * a * a - math.log(mills) - 0.91893853320467274178
                total[lane] += log_tail * (1.0 + math.copysign(1.0, 19.0 - y[lane]) * weight) + 1.0
        for p in range(36):  # pieces of half a standard deviation
            if not (present >> np.uint64(p + 1)) & np.uint64(1):
                continue
            c = table[p]
            c0 = c[0, 0] + weight * c[0, 1]
            c1 = c[1, 0] + weight * c[1, 1]
            c2 = c[2, 0] + weight * c[2, 1]
            c3 = c[3, 0] + weight * c[3, 1]
            c4 = c[4, 0] + weight * c[4, 1]
            c5 = c[5, 0] + weight * c[5, 1]
            c6 = c[6, 0] + weight * c[6, 1]
            c7 = c[7, 0] + weight * c[7, 1]
            c8 = c[8, 0] + weight * c[8, 1]
            c9 = c[9, 0] + weight * c[9, 1]
            c10 = c[10, 0] + weight * c[10, 1]
            c11 = c[11, 0] + weight * c[11, 1] + 1.0
            q, centre = p + 1.0, p + 1.5
            for lane in range(LANES):
                u = y[lane] - centre
                t = ((((c0 * u + c1) * u + c2) * u + c3) * u + c4) * u + c5
                t = (((((t * u + c6) * u + c7) * u + c8) * u + c9) * u + c10) * u + c11
                total[lane] += t if piece[lane] == q else 0.0
    for lane in range(LANES):
        a_squared[lane] = bad[lane] - total[lane]
