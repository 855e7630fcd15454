"""Counts of standardised values in buckets, without sorting them.

The standardised value z = (x unit - mean) factor belongs to bucket 4096 z + 32768, rounded down,
of 65,536; those beyond eight standard deviations to the outermost. The bucket never falls
as z grows, whatever the rounding, so that values of different buckets need no comparison.
"""

from __future__ import annotations

import numpy as np

__all__ = ["BUCKETS", "COMPARE", "SIGNATURES", "collect", "count", "count_up_to"]

SIGNATURES = {
    "count": [
        f"void({dtype}[:,::1], float64, float64, float64, int32[::1])"
        for dtype in ("float32", "float64")
    ],
    "collect": [
        f"void({dtype}[:,::1], float64, float64, float64, boolean[::1], float64[::1])"
        for dtype in ("float32", "float64")
    ],
    "count_up_to": [
        f"void({dtype}[:,::1], float64, float64, float64, uint8[::1], float64[::1], int32[::1], "
        "float64[:,::1], int32[::1], int32[::1], int32[:,::1])"
        for dtype in ("float32", "float64")
    ],
}

BUCKETS = 1 << 16
COMPARE = 255
"""Mark of a bucket whose values must be compared with thresholds."""


def count(x: np.ndarray, unit: float, mean: float, factor: float, counts: np.ndarray) -> None:
    """Add the values of `x`, rows x columns, float32 or float64, to the counts of their buckets."""
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(row.shape[0]):
            z = (row[j] * unit - mean) * factor
            counts[np.uint32(min(max(z * 4096.0 + 32768.0, 0.0), 65535.0))] += np.int32(1)


def collect(
    x: np.ndarray, unit: float, mean: float, factor: float, wanted: np.ndarray, values: np.ndarray
) -> None:
    """Write the z of the wanted buckets, in order of appearance; `values` has one place more."""
    at = np.uint64(0)
    for i in range(x.shape[0]):
        row = x[i]
        for j in range(row.shape[0]):
            z = (row[j] * unit - mean) * factor
            values[at] = z
            at += np.uint64(wanted[np.uint32(min(max(z * 4096.0 + 32768.0, 0.0), 65535.0))])


def count_up_to(
    x: np.ndarray,
    unit: float,
    mean: float,
    factor: float,
    known: np.ndarray,
    shared: np.ndarray,
    shared_starts: np.ndarray,
    own: np.ndarray,
    own_starts: np.ndarray,
    shared_counts: np.ndarray,
    own_counts: np.ndarray,
) -> None:
    """Count each z at the first threshold that it does not exceed: cumulated, those up to it.

    Parameters
    ----------
    x : ndarray
        Rows x columns, float32 or float64.
    unit, mean, factor : float
        z = (x unit - mean) factor.
    known : ndarray
        The first threshold of any row beyond each bucket, uint8; 255 where z must be compared.
        Only those are counted in `shared_counts`.
    shared : ndarray
        Thresholds of all values, ascending.
    shared_starts : ndarray
        The first threshold of each bucket, int32; one more for the end.
    own : ndarray
        Rows x thresholds of the row's values alone, ascending, infinity last.
    own_starts : ndarray
        Of each bucket, how many thresholds every row has in lower buckets, int32.
    shared_counts, own_counts : ndarray
        One more than `shared`, and as `own`; int32, added to.
    """
    for i in range(x.shape[0]):
        row, thresholds, counts = x[i], own[i], own_counts[i]
        for j in range(row.shape[0]):
            z = (row[j] * unit - mean) * factor
            bucket = np.uint32(min(max(z * 4096.0 + 32768.0, 0.0), 65535.0))
            first = known[bucket]
            if first != 255:
                counts[first] += np.int32(1)
                continue
            low, high = shared_starts[bucket], shared_starts[bucket + np.uint32(1)]
            while low < high:
                middle = (low + high) >> 1
                if shared[np.uint64(middle)] < z:
                    low = middle + 1
                else:
                    high = middle
            shared_counts[np.uint64(low)] += np.int32(1)
            k = np.uint64(own_starts[bucket])
            while thresholds[k] < z:
                k += np.uint64(1)
            counts[k] += np.int32(1)
