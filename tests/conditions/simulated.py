"""Layers drawn from known laws."""

from __future__ import annotations

import numpy as np
import torch

from cwda.layers import ConvLayer, Network, Provenance


def layer(n=64, channels=8, kernel=(3, 3), *, seed=0, mean=0.0, name="conv", transform=None):
    """Standard normal filters, changed by `transform` (an n x N x k^2 array in and out)."""
    rng = np.random.default_rng(seed)
    array = rng.standard_normal((n, channels, int(np.prod(kernel)))) + mean
    if transform is not None:
        array = transform(array, rng)
    return ConvLayer(name, torch.from_numpy(array).reshape(n, channels, *kernel))


def network(*layers, name="simulated"):
    return Network(name, tuple(layers), Provenance("simulated", "array"))


def student(array, rng):
    """t with 4 degrees of freedom."""
    return array / np.sqrt(rng.chisquare(4, array.shape) / 4)


def unequal_positions(array, rng):
    """Variances of the positions with a coefficient of variation of 0.6."""
    return array * np.sqrt(np.tile([0.4, 1.6], array[0].size)[: array[0].size]).reshape(
        array.shape[1:]
    )


def correlated_blocks(array, rng):
    """Covariance 0.36 between any two positions of one channel, variances 1."""
    shared = rng.standard_normal((*array.shape[:2], 1))
    return 0.8 * array + 0.6 * shared


def correlated_channels(array, rng):
    """Covariance 0.2 between any two weights."""
    shared = rng.standard_normal((len(array), 1, 1))
    return np.sqrt(0.8) * array + np.sqrt(0.2) * shared


def unequal_filters(array, rng):
    """SD of the log scale 0.4."""
    return array * np.exp(0.4 * rng.standard_normal((len(array), 1, 1)))


def two_populations(array, rng, strong=None):
    """Half of the filters have energies 1.6 and .4 in these (even) channels and others."""
    n, channels, _ = array.shape
    strong = np.arange(channels) % 2 == 0 if strong is None else strong
    of_first = rng.permutation(n) % 2 == 0
    energy = np.where(of_first[:, None] == strong, 1.6, 0.4)
    return array * np.sqrt(energy)[:, :, None]


def copied_filters(array, rng):
    """A quarter of the filters are copies: f, -f, 3 f and, nearly, f."""
    pairs = len(array) // 8
    factor = np.tile([1.0, -1.0, 3.0, 1.0], pairs)[:pairs, None, None]
    noise = np.tile([0.0, 0.0, 0.0, 0.14], pairs)[:pairs, None, None]
    kept, rest = array[:pairs], array[pairs : 2 * pairs]
    array[pairs : 2 * pairs] = factor * (kept + noise * rest)
    return array
