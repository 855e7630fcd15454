"""Normal filters of unequal scale: two scales, rare small ones, dead ones."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cwda.calibration.laws.distance import mixture_distance
from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize

__all__ = ["DeadFilters", "SmallFilters", "TwoScales"]

Array = npt.NDArray[np.float64]


class _TwoPoints(SimulatedLaw):
    """f = s g with one of two scales; the few filters are a `share` of all."""

    share: float

    @property
    @abstractmethod
    def scales(self) -> tuple[float, float]:
        """The scale of the few filters and of the others; their mean square is 1."""

    @property
    def normal(self) -> bool:
        """No: each position is a mixture of two normal laws."""
        return False

    @property
    def normal_within(self) -> bool:
        """Yes: a filter has one scale."""
        return True

    @property
    def log_scale_sd(self) -> float:
        """Standard deviation of the log scale."""
        few, others = self.scales
        return abs(math.log(few / others)) * math.sqrt(self.share * (1 - self.share))

    def distance(self, size: LayerSize) -> float:
        """KS distance of the mixture from the normal law."""
        shares = np.array([self.share, 1 - self.share])
        return mixture_distance(np.zeros(2), np.array(self.scales), shares)

    def few(self, n_filters: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
        """Which filters have the first scale: each by itself."""
        return np.asarray(rng.random(n_filters) < self.share)

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        scale = np.where(self.few(size.n_filters, rng), *self.scales)
        noise = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
        return np.asarray(scale[:, None, None] * noise)


def _normalised(few: float, share: float) -> tuple[float, float]:
    """A scale `few` times that of the others, so that the mean square is 1."""
    others = 1 / math.sqrt(share * few**2 + 1 - share)
    return few * others, others


@dataclass(frozen=True)
class TwoScales(_TwoPoints):
    """Log scales of +-`spread`, each with probability a half."""

    name: str
    spread: float
    share: float = 0.5

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"filters of two scales, equally many; SD of the log scale {self.spread:g}"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"homogeneity", "gaussianity"})

    @property
    def scales(self) -> tuple[float, float]:
        """The two scales."""
        return _normalised(math.exp(-2 * self.spread), self.share)


@dataclass(frozen=True)
class SmallFilters(_TwoPoints):
    """A share of the filters is smaller, so that SD(log s) is `spread`."""

    name: str
    spread: float
    share: float = 0.05

    @property
    def words(self) -> str:
        """What the filters are like."""
        few, others = self.scales
        return (
            f"{100 * self.share:g} % of the filters are {few / others:.2g} times as large as the "
            f"others; SD of the log scale {self.spread:g}"
        )

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"homogeneity", "gaussianity", "small filters"})

    @property
    def scales(self) -> tuple[float, float]:
        """The two scales."""
        gap = self.spread / math.sqrt(self.share * (1 - self.share))
        return _normalised(math.exp(-gap), self.share)


@dataclass(frozen=True)
class DeadFilters(_TwoPoints):
    """This share of the filters is 1e-4 times as large as the others."""

    name: str
    share: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"{100 * self.share:g} % of the filters are dead (1e-4 of the others' scale)"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"homogeneity", "gaussianity", "dead filters"})

    @property
    def scales(self) -> tuple[float, float]:
        """The two scales."""
        return _normalised(1e-4, self.share)
