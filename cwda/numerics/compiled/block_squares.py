"""Squared Gram matrices of single blocks, summed over blocks without ever being stored."""

from __future__ import annotations

import numpy as np

__all__ = ["SIGNATURES", "add_block_squares"]

SIGNATURES = {
    "add_block_squares": "void(float64[:,:,::1], float64[:,::1], float64[::1], float64, int64, "
    "int64, int64, int64, int64, int64, float64[:,::1], float64[:,:,::1])"
}


def add_block_squares(
    z: np.ndarray,
    energy: np.ndarray,
    shift: np.ndarray,
    weight: float,
    parity: int,
    top: int,
    first_row: int,
    last_row: int,
    first_column: int,
    last_column: int,
    squares: np.ndarray,
    grams: np.ndarray,
) -> None:
    """Add one tile of sum_b (z_ib . z_jb + weight (v_ib + v_jb) - s_b)^2 and of sum_b z_ib . z_jb.

    Two rows at a time take four positions in one pass over the columns, so that the products of
    a block stay in registers and the first-level cache.

    Parameters
    ----------
    z : ndarray
        Centred filters, blocks x k^2 x n, float64.
    energy, shift : ndarray
        v, blocks x n, and s, one number per block.
    weight : float
        1 / (n - 2).
    parity : int
        0 if the first block is an even input channel, 1 if an odd one.
    top : int
        The filter of the first row of `squares` and `grams`.
    first_row, last_row, first_column, last_column : int
        The tile, as filters.
    squares : ndarray
        rows x columns, float64; added to.
    grams : ndarray
        2 x rows x columns, sums over even and over odd channels; added to.
    """
    positions, width = z.shape[1], last_column - first_column
    x = np.empty((2, width))
    x0, x1 = x[0], x[1]
    spare = np.empty((2, width))
    for b in range(z.shape[0]):
        block, gram = z[b], grams[(parity + b) % 2]
        v = energy[b, first_column:last_column]
        for i in range(first_row, last_row, 2):
            k = i + 1 if i + 1 < last_row else i
            x[:] = 0.0
            for p in range(0, positions - 3, 4):
                a0, a1, a2, a3 = block[p, i], block[p + 1, i], block[p + 2, i], block[p + 3, i]
                b0, b1, b2, b3 = block[p, k], block[p + 1, k], block[p + 2, k], block[p + 3, k]
                y0 = block[p, first_column:last_column]
                y1 = block[p + 1, first_column:last_column]
                y2 = block[p + 2, first_column:last_column]
                y3 = block[p + 3, first_column:last_column]
                for j in range(width):
                    x0[j] += a0 * y0[j] + a1 * y1[j] + a2 * y2[j] + a3 * y3[j]
                    x1[j] += b0 * y0[j] + b1 * y1[j] + b2 * y2[j] + b3 * y3[j]
            for p in range(positions - positions % 4, positions):
                a0, b0 = block[p, i], block[p, k]
                y0 = block[p, first_column:last_column]
                for j in range(width):
                    x0[j] += a0 * y0[j]
                    x1[j] += b0 * y0[j]
            s0, g0 = (
                squares[i - top, first_column:last_column],
                gram[i - top, first_column:last_column],
            )
            s1, g1 = (
                squares[k - top, first_column:last_column],
                gram[k - top, first_column:last_column],
            )
            if k == i:  # an odd row has no partner
                s1, g1 = spare[0], spare[1]
            e0, e1 = weight * energy[b, i] - shift[b], weight * energy[b, k] - shift[b]
            for j in range(width):
                g0[j] += x0[j]
                g1[j] += x1[j]
                c0 = x0[j] + (e0 + weight * v[j])
                c1 = x1[j] + (e1 + weight * v[j])
                s0[j] += c0 * c0
                s1[j] += c1 * c1
