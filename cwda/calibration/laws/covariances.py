"""Normal filters whose weights correlate: smooth kernels, related channels, first layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.moments import Moments
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize

__all__ = ["ChannelFactor", "ChannelGroup", "ChannelPairs", "FirstLayer", "SmoothKernels"]

Array = npt.NDArray[np.float64]


class _Separable(SimulatedLaw):
    """Sigma is the Kronecker product of one matrix of the channels and one of the positions."""

    def channel_covariance(self, channels: int) -> Array | None:
        """N x N; None is the unit matrix."""
        return None

    def kernel_covariance(self, kernel_size: int) -> Array | None:
        """k^2 x k^2; None is the unit matrix."""
        return None

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        filters: Array = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
        between = self.channel_covariance(size.channels)
        if between is not None:
            filters = np.einsum("bc,ncp->nbp", _root(between), filters, optimize=True)
        within = self.kernel_covariance(size.kernel_size)
        if within is not None:
            filters = filters @ _root(within)
        return np.ascontiguousarray(filters)

    def moments(self, size: LayerSize) -> Moments:
        """Mean and covariance of a filter."""
        between = self.channel_covariance(size.channels)
        within = self.kernel_covariance(size.kernel_size)
        covariance = np.kron(
            np.eye(size.channels) if between is None else between,
            np.eye(size.kernel_size) if within is None else within,
        ).astype(np.float64)
        return Moments(np.zeros(size.dim), covariance, size.kernel_size)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root


def _smooth(kernel_size: int, correlation: float) -> Array:
    """Autoregression of order 1 along both axes of a square kernel, or along its only one."""
    side = math.isqrt(kernel_size)
    axes = [side, side] if side * side == kernel_size else [1, kernel_size]
    lags = [np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in axes]
    return np.kron(*(correlation**lag for lag in lags)).astype(np.float64)


@dataclass(frozen=True)
class SmoothKernels(_Separable):
    """Neighbouring positions of a kernel correlate by r, those h and v apart by r^(h + v)."""

    name: str
    correlation: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"smooth kernels: autoregression along both axes, r = {self.correlation:g}"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"epsilon", "smooth kernels"})

    def fits(self, size: LayerSize) -> bool:
        """Kernels of one position cannot be smooth."""
        return size.kernel_size > 1 and self.correlation < 1

    def kernel_covariance(self, kernel_size: int) -> Array:
        """k^2 x k^2."""
        return _smooth(kernel_size, self.correlation)


@dataclass(frozen=True)
class ChannelGroup(_Separable):
    """The first `count` channels correlate by r, all others with none."""

    name: str
    correlation: float
    count: int = 4

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"{self.count} channels correlate by {self.correlation:g}, the others do not"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"independence", "few correlated channels"})

    def fits(self, size: LayerSize) -> bool:
        """The group must leave channels outside."""
        return size.channels > self.count and self.correlation < 1

    def channel_covariance(self, channels: int) -> Array:
        """N x N."""
        matrix = np.eye(channels)
        group = slice(0, self.count)
        matrix[group, group] += self.correlation * (1 - np.eye(self.count))
        return matrix


@dataclass(frozen=True)
class ChannelPairs(_Separable):
    """The first `count` pairs of neighbouring channels correlate by r."""

    name: str
    correlation: float
    count: int = 2

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"{self.count} pairs of channels correlate by {self.correlation:g}"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"independence", "few correlated channels"})

    def fits(self, size: LayerSize) -> bool:
        """The pairs must leave channels outside."""
        return size.channels > 2 * self.count and self.correlation < 1

    def channel_covariance(self, channels: int) -> Array:
        """N x N."""
        matrix = np.eye(channels)
        for first in range(0, 2 * self.count, 2):
            matrix[first, first + 1] = matrix[first + 1, first] = self.correlation
        return matrix


@dataclass(frozen=True)
class ChannelFactor(_Separable):
    """One factor per position, with loadings that rise linearly over the channels."""

    name: str
    share: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return (
            f"one channel factor (rank 1) of {self.share:g} of the variance, loadings that rise "
            "linearly over the channels"
        )

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"independence", "variance", "channel factor"})

    def fits(self, size: LayerSize) -> bool:
        """A factor needs channels to share it."""
        return size.channels > 1 and self.share < 1

    def channel_covariance(self, channels: int) -> Array:
        """N x N."""
        loadings = np.linspace(0, 1, channels)
        loadings /= math.sqrt(float((loadings**2).mean()))
        matrix: Array = (1 - self.share) * np.eye(channels)
        return matrix + self.share * np.outer(loadings, loadings)


@dataclass(frozen=True)
class FirstLayer(_Separable):
    """Three colour channels that correlate strongly, and smooth kernels."""

    name: str
    colours: float
    smoothness: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return (
            f"a first layer: three channels correlate by {self.colours:g}, kernels are smooth "
            f"with r = {self.smoothness:g}"
        )

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"epsilon", "independence", "first layer"})

    def fits(self, size: LayerSize) -> bool:
        """Only layers of three channels look at colours."""
        return size.channels == 3 and size.kernel_size > 1

    def channel_covariance(self, channels: int) -> Array:
        """3 x 3."""
        matrix: Array = self.colours + (1 - self.colours) * np.eye(channels)
        return matrix

    def kernel_covariance(self, kernel_size: int) -> Array:
        """k^2 x k^2."""
        return _smooth(kernel_size, self.smoothness)
