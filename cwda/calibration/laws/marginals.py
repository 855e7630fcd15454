"""Independent weights of one law that is not normal, with mean 0 and variance 1."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.calibration.laws.distance import law_distance
from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize

__all__ = ["Gamma", "Laplace", "Quantised", "Sparse", "Uniform"]

Array = npt.NDArray[np.float64]


class _Marginal(SimulatedLaw):
    """All weights are independent with one law."""

    @abstractmethod
    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity"})

    @property
    def normal(self) -> bool:
        """No: that is what it is about."""
        return False

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        return self.noise(rng, (size.n_filters, size.channels, size.kernel_size))


@dataclass(frozen=True)
class Laplace(_Marginal):
    """A double exponential law."""

    name: str = "laplace"

    @property
    def words(self) -> str:
        """What the filters are like."""
        return "independent weights with a Laplace law"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "exponential tails"})

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""
        return np.asarray(rng.laplace(scale=math.sqrt(0.5), size=shape))

    def distance(self, size: LayerSize) -> float:
        """KS distance from the normal law."""
        return law_distance(lambda x: 1 - np.exp(-math.sqrt(2) * x) / 2, symmetric=True)


@dataclass(frozen=True)
class Gamma(_Marginal):
    """A gamma law of this shape less its mean; its skewness is 2 / sqrt(shape)."""

    name: str
    shape: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        skewness = 2 / math.sqrt(self.shape)
        return f"independent weights with a gamma law, skewness {skewness:.3g}"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "skewed"})

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""
        return np.asarray((rng.gamma(self.shape, size=shape) - self.shape) / math.sqrt(self.shape))

    def distance(self, size: LayerSize) -> float:
        """KS distance from the normal law."""
        mean, sd = self.shape, math.sqrt(self.shape)
        return law_distance(lambda x: special.gammainc(mean, np.maximum(mean + sd * x, 0)))


@dataclass(frozen=True)
class Uniform(_Marginal):
    """A uniform law, by which many layers are initialised."""

    name: str = "uniform"

    @property
    def words(self) -> str:
        """What the filters are like."""
        return "independent weights with a uniform law"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "light tails"})

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""
        return np.asarray(rng.uniform(-math.sqrt(3), math.sqrt(3), shape))

    def distance(self, size: LayerSize) -> float:
        """KS distance from the normal law."""
        end = math.sqrt(3)
        return law_distance(lambda x: np.clip((x + end) / (2 * end), 0, 1))


@dataclass(frozen=True)
class Quantised(_Marginal):
    """Normal weights rounded to `levels` equally spaced values, the outermost at +-3 SD."""

    name: str
    levels: int

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"normal weights rounded to {self.levels} levels"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "quantised"})

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""
        values, shares = self._atoms
        step = 6 / (self.levels - 1)
        rounded = np.clip(np.rint(rng.standard_normal(shape) / step) * step, -3, 3)
        return np.asarray(rounded / math.sqrt(float(shares @ values**2)))

    def distance(self, size: LayerSize) -> float:
        """KS distance from the normal law, at the steps."""
        values, shares = self._atoms
        normal = special.ndtr(values / math.sqrt(float(shares @ values**2)))
        above = shares.cumsum()
        return float(max(np.abs(above - normal).max(), np.abs(above - shares - normal).max()))

    @property
    def _atoms(self) -> tuple[Array, Array]:
        values = np.linspace(-3, 3, self.levels)
        ends = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
        return values, np.diff(special.ndtr(ends))


@dataclass(frozen=True)
class Sparse(_Marginal):
    """Normal weights of which each is 0 with probability `share`."""

    name: str
    share: float

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"normal weights of which {100 * self.share:g} % are 0"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "sparse"})

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Numbers of the law."""
        kept = rng.random(shape) >= self.share
        return np.asarray(rng.standard_normal(shape) * kept / math.sqrt(1 - self.share))

    def distance(self, size: LayerSize) -> float:
        """KS distance from the normal law; the step at 0 lies share / 2 above it."""
        live = 1 - self.share
        return law_distance(
            lambda x: self.share + live * special.ndtr(x * math.sqrt(live)), symmetric=True
        )
