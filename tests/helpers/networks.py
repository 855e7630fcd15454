"""Small networks made up for tests."""

from __future__ import annotations

import numpy as np
import torch

from cwda.layers import ConvLayer, Network, Provenance


def random_layer(name="conv", filters=16, channels=4, kernel=(3, 3), seed=0, scale=1.0):
    weight = np.random.default_rng(seed).normal(0, scale, (filters, channels, *kernel))
    return ConvLayer(name, torch.from_numpy(weight))


def network(*layers):
    return Network("net", layers, Provenance("made up", "array"))


def layer_of(rows, name="conv"):
    """A layer with 1 x 1 kernels and the given filters."""
    weight = torch.tensor(rows, dtype=torch.float64)
    return ConvLayer(name, weight[:, :, None, None])
