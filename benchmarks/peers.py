"""The same numbers by loops over well-known libraries, and WeightWatcher's analysis."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import numpy as np
from scipy import stats

from cwda.layers import ConvLayer, Network

__all__ = ["library_loops", "weightwatcher"]


def library_loops(network: Network) -> None:
    """The numbers behind check(), position by position and channel by channel.

    Anderson-Darling per position by statsmodels, the KS distance of the pooled weights by
    scipy, the kernels by numpy from their definitions, their jackknife by a loop. The
    jackknife of the KS distance (N' sorts of all weights) is left out: it alone would take
    minutes.
    """
    from statsmodels.stats.diagnostic import normal_ad

    for layer in network:
        filters = layer.filters.astype(np.float64)
        for position in filters.T:
            normal_ad(position)
        pooled = (filters - filters.mean()) / filters.std(ddof=1)
        stats.kstest(pooled.ravel(), "norm")
        _conditions(layer, filters)


def _conditions(layer: ConvLayer, filters: np.ndarray) -> None:
    n = len(filters)
    gram = filters @ filters.T
    energy = gram.diagonal().copy()
    squares = filters**2
    squares -= squares.mean(axis=1, keepdims=True)
    by_position = np.zeros((n, n))
    for column in filters.T:
        by_position += _u_centred(np.outer(column, column)) ** 2
    by_block = np.zeros((n, n))
    for block in filters.reshape(n, layer.channels, -1).transpose(1, 0, 2):
        by_block += _u_centred(block @ block.T) ** 2
    total = _u_centred(gram) ** 2
    for kernel in (gram, squares @ squares.T, by_block - by_position, total - by_block):
        np.fill_diagonal(kernel, 0)
        np.trace(kernel @ kernel @ kernel)
        for i in range(n):
            rest = np.delete(energy, i)
            (kernel.sum() - 2 * kernel[i].sum()) / (rest.sum() ** 2 - rest @ rest)
    if layer.channels > 1:
        halves = [
            np.log(filters.reshape(n, layer.channels, -1)[:, s::2].__pow__(2).sum(axis=(1, 2)))
            for s in (0, 1)
        ]
        stats.pearsonr(*halves, alternative="greater")


def _u_centred(gram: np.ndarray) -> np.ndarray:
    n = len(gram)
    gram = gram.copy()
    np.fill_diagonal(gram, 0)
    rows = gram.sum(axis=1) / (n - 2)
    out = gram - rows - rows[:, None] + gram.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(out, 0)
    return out


def weightwatcher(network: Network) -> None:
    """WeightWatcher.analyze() on the same weights, as a module (it prints; that is muted)."""
    import torch
    import weightwatcher as ww

    modules = torch.nn.ModuleDict()
    for layer in network:
        conv = torch.nn.Conv2d(layer.channels, layer.n_filters, layer.kernel, bias=False)
        conv.weight.data = layer.weight
        modules[layer.name.replace(".", "_")] = conv
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ww.WeightWatcher(model=modules).analyze()
    logging.disable(logging.NOTSET)
