"""Normal filters with a mean that varies over the positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.moments import Moments
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize

__all__ = ["UnevenMean"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnevenMean(SimulatedLaw):
    """f = m + e with a mean filter m of this RMS, in units of the SD of e, that sums to zero."""

    name: str
    rms: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"a mean that varies over the positions, RMS {self.rms:g} SD"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"mean", "uneven mean"}) if self.rms else frozenset()

    def fits(self, size: LayerSize) -> bool:
        """One position has one mean."""
        return size.dim > 1

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        shape = (size.channels, size.kernel_size)
        noise: Array = rng.standard_normal((size.n_filters, *shape))
        return noise + self._means(size).reshape(shape)

    def moments(self, size: LayerSize) -> Moments:
        """Mean and covariance of a filter."""
        return Moments(self._means(size), np.eye(size.dim), size.kernel_size)

    def _means(self, size: LayerSize) -> Array:
        # Multiples of the golden ratio fill the circle evenly: no two positions share a mean.
        turns = np.arange(size.dim) * (math.sqrt(5) - 1) / 2
        means = np.cos(2 * math.pi * turns)
        means -= means.mean()
        means *= self.rms / math.sqrt(float((means**2).mean()))
        return np.asarray(means)
