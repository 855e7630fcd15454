"""Filters about their mean and what is made of them, in one pass through the cache."""

from __future__ import annotations

import numpy as np

from cwda.numerics.compiled.block_squares import WIDTH

__all__ = ["SIGNATURES", "centre"]

SIGNATURES = {
    "centre": "void(float64[:,::1], float64, int64, int64, int64, float64[::1], float64[:,::1], "
    "float64[:,::1], float64[:,::1], float64[:,::1], float64[:,::1], float64[:,:,::1])"
}


def centre(
    x: np.ndarray,
    scale: float,
    positions: int,
    first: int,
    last: int,
    mean: np.ndarray,
    u: np.ndarray,
    weighted: np.ndarray,
    thirds: np.ndarray,
    energy: np.ndarray,
    v: np.ndarray,
    tiles: np.ndarray,
) -> None:
    """Centre some channels of all filters, and fill what the sums over pairs read.

    Parameters
    ----------
    x : ndarray
        Filters, float64, n x m; overwritten by x / scale less its mean, z.
    scale : float
        What the filters are divided by.
    positions : int
        k^2.
    first, last : int
        The channels, whose columns lie side by side.
    mean : ndarray
        The mean filter, (m,).
    u, weighted : ndarray
        z^2, and (2 c u - s) z with c = 1 / (n - 2) and s = c sum_i u / (n - 1), n x m; nothing is
        written to a `weighted` of no rows.
    thirds : ndarray
        sum_i u z and sum_i v z, with v of the channel, 2 x m.
    energy, v : ndarray
        Sums of (x / scale)^2 and of z^2 over each channel, n x channels.
    tiles : ndarray
        z again, tiles x m x WIDTH; nothing is written if it has no tiles.
    """
    n, start, stop = len(x), first * positions, last * positions
    width = stop - start
    c = 1 / (n - 2)
    origin, average, total = np.empty(width), np.zeros(width), np.zeros(width)
    for i in range(n):
        row = x[i, start:stop]
        for j in range(width):
            row[j] /= scale
        for b in range(last - first):
            own = 0.0
            for p in range(b * positions, (b + 1) * positions):
                own += row[p] * row[p]
            energy[i, first + b] = own
        if i == 0:
            origin[:] = row
        # From the first filter on, sums stay small where all filters are alike.
        for j in range(width):
            row[j] -= origin[j]
            average[j] += row[j]
    for j in range(width):
        average[j] /= n
        mean[start + j] = origin[j] + average[j]
    for i in range(n):
        row, square = x[i, start:stop], u[i, start:stop]
        for j in range(width):
            row[j] -= average[j]
            square[j] = row[j] * row[j]
            total[j] += square[j]
    for j in range(width):
        total[j] *= c / (n - 1)
    by_position, by_channel = thirds[0, start:stop], thirds[1, start:stop]
    by_position[:] = 0
    by_channel[:] = 0
    for i in range(n):
        row, square = x[i, start:stop], u[i, start:stop]
        if len(weighted):
            weight = weighted[i, start:stop]
            for j in range(width):
                weight[j] = (2 * c * square[j] - total[j]) * row[j]
        for j in range(width):
            by_position[j] += square[j] * row[j]
        for b in range(last - first):
            own = 0.0
            for p in range(b * positions, (b + 1) * positions):
                own += square[p]
            v[i, first + b] = own
            for p in range(b * positions, (b + 1) * positions):
                by_channel[p] += own * row[p]
    for t in range(len(tiles)):
        top = t * WIDTH
        for j in range(start, stop):
            tile = tiles[t, j]
            for k in range(min(WIDTH, n - top)):
                tile[k] = x[top + k, j]
