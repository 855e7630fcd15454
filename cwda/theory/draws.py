"""Layers drawn from the fitted model.

A draw of n filters f_j = mu + s_j g_j has g_j ~ N(0, Sigma); the s_j are the layer's own scales
(freed of the scatter that CWDA explains) and mu is the fitted mean. What a rung does not know is
1 or 0.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from cwda.numerics.compiled.threads import in_threads
from cwda.theory.model import FittedLayer

__all__ = ["Normals", "filters_from", "generator_of", "sample_filters"]

#: Numbers in one chunk of draws: 4 MiB in float64 stay near the cores of a CPU, and on a GPU every
#: call costs.
NUMBERS, NUMBERS_ELSEWHERE = 1 << 19, 1 << 24
# Streams of random numbers on the CPU: no more threads than that draw at the same time.
_STREAMS = 16


def generator_of(name: str, seed: int) -> np.random.Generator:
    """A generator that depends on a name and the seed only."""
    return np.random.default_rng(_sequence(name, seed))


def _sequence(name: str, seed: int) -> np.random.SeedSequence:
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])
    return np.random.SeedSequence([seed, digest])


class Normals:
    """Standard normal numbers for the draws of one layer.

    They depend on the seed, the name of the layer and the number of the draw, and on nothing
    else: all rungs share them, which takes part of the chance out of what neighbouring rungs
    differ in. On the CPU they do not depend on memory and the number of threads either. A GPU has
    numbers of its own.

    Parameters
    ----------
    fitted : FittedLayer
        The layer: its name, its size and the device.
    seed : int
        Seed, 0 or more.
    """

    def __init__(self, fitted: FittedLayer, seed: int) -> None:
        seeds = _sequence(fitted.name, seed).spawn(1 + _STREAMS)
        self._size = (fitted.n_filters, fitted.dim)
        self._device = fitted.sigma.blocks.device
        if self._device.type == "cpu":
            self._streams = [np.random.default_rng(each) for each in seeds[1:]]
        else:
            first = int(seeds[0].generate_state(1, np.uint64)[0] >> 1)
            self._generator = torch.Generator(self._device).manual_seed(first)

    def chunks(self, draws: int) -> Iterator[Tensor]:
        """Draws in bounded memory, m x n x d each.

        Examples
        --------
        >>> from cwda.layers import ConvLayer
        >>> from cwda.theory import fit_layer
        >>> layer = ConvLayer("conv", torch.arange(288.0).reshape(8, 4, 3, 3).sin())
        >>> fitted = fit_layer(layer, device="cpu")
        >>> [weights.shape for weights in Normals(fitted, seed=0).chunks(40)]
        [torch.Size([40, 8, 36])]
        """
        n, d = self._size
        numbers = NUMBERS if self._device.type == "cpu" else NUMBERS_ELSEWHERE
        size = max(1, numbers // (n * max(n, d)))  # distances take n^2 numbers
        for start in range(0, draws, size):
            length = min(size, draws - start)
            if self._device.type == "cpu":
                yield self._in_threads(length, start)
            else:
                weights = torch.empty(length, n, d, dtype=torch.float64, device=self._device)
                yield weights.normal_(generator=self._generator)

    def _in_threads(self, length: int, start: int) -> Tensor:
        """Draw `start` and those behind it, each from the stream whose turn it is."""
        n, d = self._size
        uniform = torch.empty(length, 2, -(-n * d // 2), dtype=torch.float64)
        arrays = uniform.numpy()

        def fill(first: int) -> None:
            stream = self._streams[(start + first) % _STREAMS]
            for array in arrays[first::_STREAMS]:
                stream.random(out=array)

        in_threads(fill, range(min(_STREAMS, length)))
        return _normal(uniform).flatten(1)[:, : n * d].reshape(length, n, d)


def _normal(uniform: Tensor) -> Tensor:
    """Normal numbers from uniform ones in [0, 1), m x 2 x h, by Box and Muller, in place.

    Vectorised, this is twice as fast as the ziggurat of numpy.
    """
    radius, angle = uniform.unbind(1)
    radius.neg_().add_(1).log_().mul_(-2).sqrt_()
    cosine = angle.mul_(2 * math.pi).cos()
    angle.sin_().mul_(radius)
    radius.mul_(cosine)
    return uniform


def filters_from(normal: Tensor, fitted: FittedLayer) -> Tensor:
    """The filters that standard normal numbers m x n x d become, a new tensor of that shape."""
    root = fitted.sigma.root
    deviations = root.diagonal(dim1=1, dim2=2)
    scales = torch.from_numpy(fitted.scales).to(root)[:, None]
    if torch.equal(root, torch.diag_embed(deviations)):
        filters = normal * (scales * deviations.reshape(-1))
    else:
        channels = normal.unflatten(2, root.shape[:2])
        filters = torch.einsum("mnck,ckl->mncl", channels, root).flatten(2).mul_(scales)
    return filters.add_(fitted.mean.reshape(-1))


def sample_filters(fitted: FittedLayer, draws: int, seed: int) -> Iterator[Tensor]:
    """Chunks of draws, each m x n x d, on the device of the fitted layer."""
    return (filters_from(normal, fitted) for normal in Normals(fitted, seed).chunks(draws))
