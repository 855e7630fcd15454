"""Filters whose factors set the effect of one condition each."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.arguments import require_between
from cwda.calibration.laws.distance import SCALE_NODES, SCALE_SHARES
from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize
from cwda.numerics.crossing import crossing

__all__ = ["Design"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design(SimulatedLaw):
    """A law of filters f = m + s sd_p (sqrt(1 - w - b) e + sqrt(w) x + sqrt(b) y).

    e is noise of its own for each weight, x one normal variable for each filter and channel, y one
    for each filter and position of the kernel; sd_p takes two values over the positions;
    log s is normal with E s^2 = 1. All have variance 1, so that each parameter sets one
    condition's effect.

    Attributes
    ----------
    name : str
        Name in tables.
    mean : float
        RMS mean over RMS weight.
    variance : float
        Coefficient of variation of sd_p^2.
    epsilon, independence : float
        RMS covariance within and between the blocks over the mean variance.
    homogeneity : float
        SD of log s.
    gaussianity : float
        KS distance of e from the normal law; e is a mixture of two normal laws.
    heavy : bool
        e has Student's t law with 5 degrees of freedom instead.

    Raises
    ------
    CwdaError
        If a parameter is not a number of 0 or more, or the mean is 1 or more.
    """

    name: str
    mean: float = 0.0
    variance: float = 0.0
    epsilon: float = 0.0
    independence: float = 0.0
    homogeneity: float = 0.0
    gaussianity: float = 0.0
    heavy: bool = False

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            if name != "heavy":
                most = math.nextafter(1, 0) if name == "mean" else math.inf
                require_between(value, 0, most, f"{name} of a Design", inclusive=True)

    @property
    def words(self) -> str:
        """Its parameters that are not 0."""
        sized = (f"{name} {value:g}" for name, value in self.parameters.items() if name != "heavy")
        named = [text for text in sized if not text.endswith(" 0")]
        if self.heavy:
            named.append("Student's t law with 5 degrees of freedom")
        return ", ".join(named) or "independent standard normal weights"

    def fits(self, size: LayerSize) -> bool:
        """Whether a layer of this size can depart so far."""
        return bool(self._variances(size).min() >= 0 and sum(self._weights(size)) <= 1)

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        n, channels, positions = size.n_filters, size.channels, size.kernel_size
        within, between = self._weights(size)
        filters = self._noise(rng, (n, channels, positions))
        filters *= math.sqrt(1 - within - between)
        if within:
            filters += math.sqrt(within) * rng.standard_normal((n, channels, 1))
        if between:
            filters += math.sqrt(between) * rng.standard_normal((n, 1, positions))
        if self.variance:
            filters *= np.sqrt(self._variances(size))
        if self.homogeneity:
            spread = self.homogeneity
            filters *= np.exp(spread * rng.standard_normal((n, 1, 1)) - spread**2)
        filters += self._shift
        return filters

    def truth(self, condition: str, size: LayerSize) -> float:
        """True effect of a condition; NaN where there is no closed form.

        Examples
        --------
        >>> size = Size(64, 16, 9)
        >>> Design("", epsilon=0.3).truth("epsilon", size)
        0.3
        >>> round(Design("", heavy=True).truth("gaussianity", size), 4)
        0.0382
        """
        return super().truth(condition, size)

    def weight_mean(self, size: LayerSize) -> float:
        """Mean of all weights over the root of their mean variance."""
        return self._shift

    @property
    def parameters(self) -> dict[str, float]:
        """How far it departs from i.i.d. normal weights, by the name of the departure."""
        return {field.name: getattr(self, field.name) for field in _PARAMETERS}

    @property
    def departures(self) -> frozenset[str]:
        """Names of the parameters that are not 0."""
        return frozenset(name for name, value in self.parameters.items() if value)

    @property
    def second_moment(self) -> float:
        """Mean square of the weights over their variance."""
        return 1 + self._shift**2

    def _population(self, size: LayerSize) -> Self:
        return self  # its parameters are effects, or lead to them in closed form

    @property
    def _shift(self) -> float:
        return self.mean / math.sqrt(1 - self.mean**2)

    def _variances(self, size: LayerSize) -> Array:
        """sd_p^2, N x k^2, with mean 1; every fourth position has the larger value."""
        high = (np.arange(size.dim) % 4 == 0).astype(float)
        deviation: Array = (high - high.mean()) / high.std()
        return (1 + self.variance * deviation).reshape(size.channels, size.kernel_size)

    def _weights(self, size: LayerSize) -> tuple[float, float]:
        """w and b that give the wanted effects."""
        a, d, k2 = self._variances(size), size.dim, size.kernel_size
        within = between = 0.0
        squares = float((a**2).sum())
        if self.epsilon and k2 > 1:
            pairs = float((a.sum(axis=1) ** 2).sum()) - squares
            within = self.epsilon / math.sqrt(pairs / (d * (k2 - 1)))
        if self.independence and size.channels > 1:
            pairs = float((a.sum(axis=0) ** 2).sum()) - squares
            between = self.independence / math.sqrt(pairs / (d * (d - k2)))
        return within, between

    def _noise(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        if self.heavy:
            return np.asarray(rng.standard_t(5, shape) * math.sqrt(3 / 5))
        noise: Array = rng.standard_normal(shape)
        if self.gaussianity:
            narrow = _narrow_scale(self.gaussianity)
            wide = math.sqrt(2 - narrow**2)
            noise *= np.where(rng.random(shape) < 0.5, narrow, wide)
        return noise

    def distance(self, size: LayerSize) -> float:
        """KS distance of the standardised weights from the normal law; NaN where unknown."""
        if (self.heavy or self.gaussianity) and any(self._weights(size)):
            return math.nan  # the sum of such noise and a normal part
        if not self.departures - {"mean", "epsilon", "independence"}:
            return 0.0
        sds, counts = np.unique(np.sqrt(self._variances(size)), return_counts=True)
        shares = counts / counts.sum()
        noise = _STUDENT if self.heavy else self.gaussianity
        return _distance(noise, self.homogeneity, tuple(sds.tolist()), tuple(shares.tolist()))


#: The departures that a law may have.
_PARAMETERS = tuple(field for field in fields(Design) if field.name != "name")


#: Instead of the distance of normal noise from the normal law: noise is Student's.
_STUDENT = -1.0


@lru_cache(maxsize=1024)
def _distance(
    noise: float, homogeneity: float, sds: tuple[float, ...], shares: tuple[float, ...]
) -> float:
    """The distance for weights of these SDs, each of a share of them; most sizes have the same."""
    scales, parts = np.ones(1), np.ones(1)
    if homogeneity:
        scales, parts = np.exp(homogeneity * SCALE_NODES - homogeneity**2), SCALE_SHARES
    x = np.linspace(0, 6, 6001)  # symmetric
    law = np.zeros_like(x)
    for scale, part in zip(scales, parts, strict=True):
        for sd, share in zip(sds, shares, strict=True):
            law += part * share * _noise_law(noise, x / (scale * sd))
    return float(np.abs(law - special.ndtr(x)).max())


def _noise_law(noise: float, x: Array) -> Array:
    """Distribution function of e."""
    if noise == _STUDENT:
        return np.asarray(special.stdtr(5, x * math.sqrt(5 / 3)))
    return _mixture(x, _narrow_scale(noise)) if noise else np.asarray(special.ndtr(x))


def _mixture(x: Array, narrow: float) -> Array:
    """Equal parts of N(0, narrow^2) and N(0, 2 - narrow^2)."""
    wide = math.sqrt(2 - narrow**2)
    return np.asarray((special.ndtr(x / narrow) + special.ndtr(x / wide)) / 2)


@lru_cache
def _narrow_scale(distance: float) -> float:
    """The narrower scale of the mixture that lies at `distance` from the normal law."""
    x = np.linspace(0, 6, 6001)
    normal = special.ndtr(x)

    def farther(scale: Array) -> bool:
        return bool(np.abs(_mixture(x, float(scale)) - normal).max() > distance)

    return float(crossing(farther, 1e-3, 1.0))
