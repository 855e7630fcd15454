"""Laws with a wanted effect of one condition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from cwda.brief import brief
from cwda.calibration.laws.law import SimulatedLaw, calibration_of
from cwda.calibration.laws.moments import Moments
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import Law, LayerSize

__all__ = ["Departure", "Tuned"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tuned(SimulatedLaw):
    """The member of a family of laws that departs from one condition by a wanted effect.

    Attributes
    ----------
    condition : str
        Name of the condition.
    effect : float
        Its true effect, at every size that can depart so far.
    family : callable
        From a number of 0 or more, on which the effect grows, to a law.
    kind : str
        What the family is.
    """

    name: str
    condition: str
    effect: float
    family: Callable[[float], SimulatedLaw]
    kind: str

    __repr__ = brief

    @property
    def words(self) -> str:
        """Its family."""
        return f"{self.condition} {self.effect:g} by {self.kind}"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return self.family(self.effect).departures

    def fits(self, size: LayerSize) -> bool:
        """Whether a layer of this size can depart so far."""
        return _member(self, size.channels, size.kernel_size) is not None

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        return self._member(size).filters(size, rng)

    def moments(self, size: LayerSize) -> Moments | None:
        """Mean and covariance of a filter."""
        return self._member(size).moments(size)

    def distance(self, size: LayerSize) -> float:
        """KS distance of the weights from the normal law."""
        return self._member(size).distance(size)

    def weight_mean(self, size: LayerSize) -> float:
        """Mean of all weights over the root of their mean variance."""
        return self._member(size).weight_mean(size)

    def truth(self, condition: str, size: LayerSize) -> float:
        """True effect of a condition; NaN where there is no closed form."""
        if condition == self.condition:
            return self.effect
        return self._member(size).truth(condition, size)

    def _member(self, size: LayerSize) -> SimulatedLaw:
        member = _member(self, size.channels, size.kernel_size)
        assert member is not None
        return member

    def _population(self, size: LayerSize) -> Law:
        return self._member(size)._population(size)


@lru_cache(maxsize=1024)
def _member(law: Tuned, channels: int, kernel_size: int) -> SimulatedLaw | None:
    """The member of its family with the wanted effect; None if this shape has none.

    Effects of a population do not depend on the number of filters that are drawn from it.
    """
    size = Size(1, channels, kernel_size)

    def excess(parameter: float) -> float:
        try:
            member = law.family(parameter)
        except ValueError:  # beyond the family's range
            return math.inf
        if not member.fits(size):
            return math.inf
        return member.truth(law.condition, size) - law.effect

    if excess(law.effect) == 0:
        return law.family(law.effect)
    if not excess(0.0) < 0:
        return None
    high = law.effect
    for _ in range(60):
        if not excess(high) < 0:
            break
        high *= 2
    else:
        return None
    # Where the family ends before the effect is reached, the root is its end, and no root.
    root = float(brentq(lambda x: min(excess(x), 1.0), 0.0, high, xtol=1e-15, rtol=1e-14))
    for parameter in (root, math.nextafter(root, 0)):
        if abs(excess(parameter)) < 1e-9:
            return law.family(parameter)
    return None


@dataclass(frozen=True)
class Departure(SimulatedLaw):
    """A law that departs in one condition only, as that condition itself draws it.

    Attributes
    ----------
    condition : str
        Name of the condition.
    effect : float
        Its true effect.
    """

    name: str
    condition: str
    effect: float

    @property
    def words(self) -> str:
        """Whose departure it is."""
        return f"{self.condition} {self.effect:g}, as the condition itself draws it"

    @property
    def departures(self) -> frozenset[str]:
        """The condition."""
        return frozenset({self.condition})

    def fits(self, size: LayerSize) -> bool:
        """Whether the condition can draw layers of this size with that effect."""
        return size.dim >= calibration_of(self.condition).fewest_weights

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        draw = calibration_of(self.condition).draw
        assert draw is not None
        return draw(rng, size, self.effect)

    def moments(self, size: LayerSize) -> Moments | None:
        """Unknown."""
        return None

    def truth(self, condition: str, size: LayerSize) -> float:
        """True effect of its own condition; NaN for others."""
        return self.effect if condition == self.condition else math.nan

    def is_null(self, condition: str, size: LayerSize) -> bool:
        """Whether the null hypothesis is known to be true: it never is."""
        return False
