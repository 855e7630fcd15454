"""The second-order kernels as plain loops over pairs of filters, written from their definitions."""

from __future__ import annotations

import itertools

import numpy as np


def u_centred(gram: np.ndarray) -> np.ndarray:
    n = len(gram)
    off = gram.copy()
    np.fill_diagonal(off, 0)
    sums, total = [row.sum() for row in off], off.sum()
    out = np.zeros_like(gram)
    for i in range(n):
        for j in range(n):
            if i != j:
                out[i, j] = (
                    gram[i, j] - sums[i] / (n - 2) - sums[j] / (n - 2) + total / ((n - 1) * (n - 2))
                )
    return out


def kernels(blocks: np.ndarray) -> dict[str, np.ndarray]:
    n, channels, k2 = blocks.shape
    filters = blocks.reshape(n, -1)
    squares = (filters - filters.mean(axis=0)) ** 2
    centred = squares - squares.mean(axis=1, keepdims=True)
    mean, variance = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j:
                mean[i, j] = sum(filters[i] * filters[j])
                variance[i, j] = sum(centred[i] * centred[j])
    blockwise = np.zeros((n, n))
    for b in range(channels):
        blockwise += u_centred(blocks[:, b] @ blocks[:, b].T) ** 2
    positionwise = np.zeros((n, n))
    for p in range(channels * k2):
        positionwise += u_centred(np.outer(filters[:, p], filters[:, p])) ** 2
    total = u_centred(filters @ filters.T) ** 2
    even, odd = (blocks[:, parity::2].reshape(n, -1) for parity in (0, 1))
    return {
        "mean": mean,
        "variance": variance,
        "total": total,
        "positions": positionwise,
        "halves": u_centred(even @ even.T) * u_centred(odd @ odd.T),
        "within": blockwise - positionwise,
        "between": total - blockwise,
    }


def squared_trace(filters: np.ndarray) -> float:
    """tr(Sigma)^2 by a loop over all quadruples of distinct filters."""
    n = len(filters)
    distances = [[((x - y) ** 2).sum() / 2 for y in filters] for x in filters]
    found = [
        distances[i][j] * distances[k][m] for i, j, k, m in itertools.permutations(range(n), 4)
    ]
    return float(np.mean(found))
