"""The weights of one layer as samples: some positions, filters or channels, evenly spaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.numerics.spread import constant
from cwda.typing import Array

__all__ = ["MOST_SAMPLES", "MOST_WEIGHTS", "Samples", "Unsuited", "Weights", "evenly_spaced"]

#: Positions, filters or channels of a layer that are tested one by one, at most.
MOST_SAMPLES = 64

#: Weights of one filter that Shapiro and Wilk's test takes: its p-values end there.
MOST_WEIGHTS = 5000


class Unsuited(CwdaError):  # noqa: N818 (it says what is the case)
    """A layer to which a test does not apply; the message says why, for a table."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one kind.

    Attributes
    ----------
    values : array
        One column per sample.
    left_out : str
        Which were left out, and why; empty if none.
    """

    values: Array
    left_out: str = ""

    def __repr__(self) -> str:
        return f"Samples: {self.values.shape[1]} of {len(self.values)} observations"

    @property
    def scaled(self) -> Array:
        """Each sample divided by its largest deviation from its mean; tiny ones are as others."""
        centred = self.values - self.values.mean(0)
        scaled: Array = centred / np.abs(centred).max(0)
        return scaled


class Weights:
    """The weights of one layer, divided by their root mean square.

    No test depends on the unit of the weights; tiny ones would underflow in some.

    Parameters
    ----------
    layer : ConvLayer
        Finite weights, not all of them equal.

    Attributes
    ----------
    blocks : array
        float64, N' x N x k^2: filters, channels, positions of the kernel.
    """

    def __init__(self, layer: ConvLayer) -> None:
        blocks = layer.blocks().numpy()
        blocks = blocks / np.abs(blocks).max()
        self.blocks: Array = blocks / np.sqrt(np.mean(blocks**2))
        self.n, self.channels, self.kernel_size = self.blocks.shape
        self.filters: Array = self.blocks.reshape(self.n, -1)

    @property
    def dim(self) -> int:
        """Weights of one filter, d."""
        return int(self.filters.shape[1])

    def positions(self) -> Samples:
        """One column per position: its weight in each filter."""
        return _varying(self.filters[:, evenly_spaced(self.dim)], "position")

    def some_filters(self) -> Samples:
        """One column per filter: all its weights."""
        return _varying(self.filters[evenly_spaced(self.n)].T, "filter")

    def channel_means(self, most: int) -> Samples:
        """One column per channel: the mean of its weights in each filter."""
        chosen = self.blocks[:, evenly_spaced(self.channels, most)]
        return _varying(chosen.mean(2), "channel")

    def of_channels(self, test: Callable[[Array], tuple[float, float]]) -> tuple[Array, str]:
        """Statistic and p-value of a test of each channel's filters x positions.

        Returns
        -------
        array
            Channels x 2, without those whose positions have a singular covariance matrix.
        str
            How many those are; empty if none.
        """
        if self.kernel_size == 1:
            raise Unsuited("1 x 1 kernels have a single position in each channel")
        if self.n <= self.kernel_size:
            raise Unsuited(
                f"{self.n} filters, not more than the {self.kernel_size} positions of a channel"
            )
        chosen = evenly_spaced(self.channels)
        found = []
        for channel in chosen:
            block = self.blocks[:, channel]
            if is_regular(block):
                found.append(test(block))
        if not found:
            raise Unsuited("the covariance matrix of every channel is singular")
        missing = len(chosen) - len(found)
        left_out = f"{missing} of {len(chosen)} channels have a singular covariance matrix"
        return np.array(found, dtype=float), left_out if missing else ""


def is_regular(sample: Array) -> bool:
    """Whether the columns of a sample have a covariance matrix of full rank."""
    scale = np.abs(sample).max()
    if not scale > 0:
        return False
    covariance = np.atleast_2d(np.cov(sample / scale, rowvar=False))
    rank = np.linalg.matrix_rank(covariance, hermitian=True)
    return bool(rank == len(covariance))


def evenly_spaced(count: int, most: int = MOST_SAMPLES) -> Array:
    """Indices below `count`: all, or `most` of them, evenly spaced from the first to the last.

    Examples
    --------
    >>> evenly_spaced(3).tolist(), evenly_spaced(10, 4).tolist()
    ([0, 1, 2], [0, 3, 6, 9])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _varying(values: Array, what: str) -> Samples:
    """The samples that are not constant."""
    fixed = constant(torch.from_numpy(np.ascontiguousarray(values.T))).numpy()
    if fixed.all():
        raise Unsuited(f"every {what} is constant")
    text = f"{fixed.sum()} of {len(fixed)} {what}s are constant" if fixed.any() else ""
    return Samples(values[:, ~fixed], text)
