"""Simulated layers whose true effects are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from cwda.arguments import require_between
from cwda.conditions import BUILT_IN, CONDITIONS, Calibration, Condition
from cwda.conditions.calibration import LayerSize
from cwda.errors import CwdaError, UnknownName, nearest
from cwda.layers import ConvLayer
from cwda.numerics.crossing import crossing

__all__ = ["DESIGNS", "NULL_DESIGNS", "SIZES", "ByName", "Design", "Size", "alternatives"]

Array = npt.NDArray[np.float64]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)

#: Standard normal quadrature, for laws mixed over the scale of the filters.
_NODES, _WEIGHTS = special.roots_hermitenorm(41)


@dataclass(frozen=True, order=True)
class Size:
    """Size of a layer: n = N' filters of N channels with k^2 positions.

    Examples
    --------
    >>> str(Size(64, 16, 9)), Size(64, 16, 9).dim
    ('64x16x9', 144)
    """

    n_filters: int
    channels: int
    kernel_size: int

    @property
    def dim(self) -> int:
        """d = N k^2."""
        return self.channels * self.kernel_size

    def __str__(self) -> str:
        return f"{self.n_filters}x{self.channels}x{self.kernel_size}"


#: Layers as they occur, from a first layer to 1x1 and depthwise convolutions.
SIZES: tuple[Size, ...] = tuple(
    Size(*each)
    for each in (
        (8, 16, 9),
        (16, 3, 9),
        (16, 16, 9),
        (32, 32, 9),
        (64, 1, 9),
        (64, 64, 9),
        (128, 64, 1),
        (256, 128, 9),
    )
)


@dataclass(frozen=True)
class Design:
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

    def draw(self, size: Size, rng: np.random.Generator) -> ConvLayer:
        """One layer of this law, n x N x k^2, float64.

        Raises
        ------
        CwdaError
            If a layer of this size cannot depart so far.
        """
        n, channels, positions = size.n_filters, size.channels, size.kernel_size
        if self._variances(size).min() < 0 or sum(self._weights(size)) > 1:
            raise CwdaError(f"design {self.name!r}: a layer {size} cannot depart so far")
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
        return ConvLayer("simulated", torch.from_numpy(filters))

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
        return calibration_of(condition).truth(self, size)

    def is_null(self, condition: str, size: LayerSize) -> bool:
        """Whether the null hypothesis of a condition is true."""
        return calibration_of(condition).is_null(self, size)

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

    def _noise_law(self, x: Array) -> Array:
        """Distribution function of e."""
        if self.heavy:
            return np.asarray(special.stdtr(5, x * math.sqrt(5 / 3)))
        narrow = _narrow_scale(self.gaussianity) if self.gaussianity else 1.0
        return _mixture(x, narrow)

    def distance(self, size: LayerSize) -> float:
        """KS distance of the standardised weights from the normal law; NaN where unknown."""
        if (self.heavy or self.gaussianity) and any(self._weights(size)):
            return math.nan  # the sum of such noise and a normal part
        if not self.departures - {"mean", "epsilon", "independence"}:
            return 0.0
        scales, shares = np.ones(1), np.ones(1)
        if self.homogeneity:
            scales = np.exp(self.homogeneity * _NODES - self.homogeneity**2)
            shares = _WEIGHTS / _WEIGHTS.sum()
        sds, counts = np.unique(np.sqrt(self._variances(size)), return_counts=True)
        x = np.linspace(0, 6, 6001)  # symmetric
        law = np.zeros_like(x)
        for scale, share in zip(scales, shares, strict=True):
            for sd, count in zip(sds, counts, strict=True):
                law += share * count / counts.sum() * self._noise_law(x / (scale * sd))
        return float(np.abs(law - special.ndtr(x)).max())


#: The departures that a law may have.
_PARAMETERS = tuple(field for field in fields(Design) if field.name != "name")


@dataclass(frozen=True)
class Departure(Design):
    """A law that departs in one condition only, as that condition itself draws it.

    Attributes
    ----------
    condition : str
        Name of the condition.
    effect : float
        Its true effect.
    """

    condition: str = ""
    effect: float = 0.0

    def draw(self, size: Size, rng: np.random.Generator) -> ConvLayer:
        """One layer of this law, n x N x k^2, float64."""
        draw = calibration_of(self.condition).draw
        assert draw is not None
        return ConvLayer("simulated", torch.from_numpy(draw(rng, size, self.effect)))

    def truth(self, condition: str, size: LayerSize) -> float:
        """True effect of its own condition; NaN for others."""
        return self.effect if condition == self.condition else math.nan

    def is_null(self, condition: str, size: LayerSize) -> bool:
        """Whether the null hypothesis is known to be true: it never is."""
        return False


def calibration_of(condition: str) -> Calibration:
    """What a condition of the register says of its calibration.

    Raises
    ------
    CwdaError
        If it says nothing.
    """
    calibration = CONDITIONS[condition].calibration
    if calibration is None:
        raise CwdaError(f"condition {condition!r} does not say how it is calibrated")
    return calibration


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


def _null_designs() -> Iterator[Design]:
    yield Design("iid")
    yield Design("cwda", variance=0.4, epsilon=0.2)
    yield Design("t5", heavy=True)
    everything = Design(
        "", mean=0.2, variance=0.5, epsilon=0.3, independence=0.05, homogeneity=0.25, heavy=True
    )
    for condition in BUILT_IN:
        if condition.calibration and condition.calibration.undisturbed:
            changed: dict[str, Any] = dict(condition.calibration.undisturbed)
            yield replace(everything, name=f"all but {condition.name}", **changed)


def alternatives(condition: str) -> list[str]:
    """Names of the designs that depart from one condition only: half, once, twice its margin.

    Examples
    --------
    >>> alternatives("mean")
    ['mean 0.05', 'mean 0.1', 'mean 0.2']
    """
    return [design.name for design in _alternatives(CONDITIONS[condition])]


def _alternatives(condition: Condition) -> Iterator[Design]:
    parameter = calibration_of(condition.name).parameter
    if parameter and not isinstance(Design("").parameters.get(parameter), float):
        raise CwdaError(
            f"condition {condition.name!r}: {parameter!r} is not a parameter of a Design with a "
            "size; give a draw of its own in its calibration"
        )
    for factor in (0.5, 1, 2):
        name = f"{condition.name} {factor * condition.margin:g}"
        effect = float(name.split()[1])
        if parameter:
            changed: dict[str, Any] = {parameter: effect}
            yield Design(name, **changed)
        else:
            yield Departure(name, condition=condition.name, effect=effect)


#: Designs under which some point nulls are true.
NULL_DESIGNS: tuple[str, ...] = tuple(design.name for design in _null_designs())


class ByName(Mapping[str, T]):
    """Named things that conditions bring with them, of those in the register at the time."""

    def __init__(self, make: Callable[[Sequence[Condition]], Iterable[T]]) -> None:
        self._made = lru_cache(maxsize=1)(
            lambda conditions: {each.name: each for each in make(conditions)}
        )

    @property
    def _members(self) -> dict[str, T]:
        calibrated = (each for each in CONDITIONS.values() if each.calibration)
        return self._made(tuple(calibrated))

    def __getitem__(self, name: str) -> T:
        members = self._members
        if name not in members:
            raise UnknownName(f"nothing is called {name!r}{nearest(name, members)}")
        return members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def _designs(conditions: Sequence[Condition]) -> Iterator[Design]:
    yield from _null_designs()
    for condition in conditions:
        yield from _alternatives(condition)


#: All designs by name.
DESIGNS: Mapping[str, Design] = ByName(_designs)
