"""The designs of the study: which laws, at which sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar

from cwda.arguments import require_type
from cwda.calibration.laws import (
    ChannelFactor,
    ChannelGroup,
    ChannelPairs,
    Clusters,
    Copies,
    DeadFilters,
    Departure,
    Design,
    FirstLayer,
    Gamma,
    Laplace,
    Orthogonal,
    Quantised,
    SimulatedLaw,
    Size,
    SmallFilters,
    SmoothKernels,
    Sparse,
    Tuned,
    TwoPopulations,
    TwoScales,
    UnevenMean,
    Uniform,
    calibration_of,
)
from cwda.conditions import BUILT_IN, CONDITIONS, Condition
from cwda.errors import CwdaError, UnknownName, nearest

__all__ = [
    "DESIGNS",
    "NULL_DESIGNS",
    "SIZES",
    "STRUCTURES",
    "ByName",
    "Design",
    "SimulatedLaw",
    "Size",
    "alternatives",
    "sizes_of",
]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)

_FILTERS = (8, 16, 32, 64, 128)

#: Small, middle and wide layers (d = 9, 144, 576) of few to many filters.
SIZES: tuple[Size, ...] = tuple(
    Size(n, channels, positions)
    for channels, positions in ((9, 1), (16, 9), (64, 9))
    for n in _FILTERS
)

#: Depthwise layers, in place of 1x1 convolutions where those cannot follow a law.
_DEPTHWISE = tuple(Size(n, 1, 9) for n in _FILTERS)

#: Many filters, and d = 2,304: for the designs in `_WIDELY`.
_FURTHER_SIZES = (Size(512, 16, 9), Size(64, 256, 9))
_WIDELY = ("iid", "cwda", "t5", "smooth kernels 0.5")

#: A first layer has three channels.
_FIRST_LAYERS = tuple(Size(n, 3, 9) for n in _FILTERS)


def sizes_of(design: str) -> tuple[Size, ...]:
    """The sizes at which the study draws a design.

    Examples
    --------
    >>> [str(size) for size in sizes_of("first layer")][:2]
    ['8x3x9', '16x3x9']
    """
    require_type(design, str, "the name of a design, such as 'iid',")
    law = DESIGNS[design]
    if isinstance(law, FirstLayer):
        return _FIRST_LAYERS
    sizes = SIZES
    if design in _WIDELY:
        sizes = (*_DEPTHWISE, *SIZES, *_FURTHER_SIZES)
    elif not law.fits(SIZES[0]):
        sizes = (*_DEPTHWISE, *SIZES)
    return tuple(size for size in sizes if law.fits(size))


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


#: Layers as they occur, or as they go wrong.
STRUCTURES: Mapping[str, SimulatedLaw] = {
    law.name: law
    for law in (
        SmoothKernels("smooth kernels 0.5", 0.5),
        SmoothKernels("smooth kernels 0.9", 0.9),
        ChannelPairs("channel pairs", 0.8),
        ChannelGroup("channel group", 0.7),
        ChannelFactor("channel factor", 0.1),
        ChannelFactor("strong channel factor", 0.4),
        FirstLayer("first layer", 0.9, 0.5),
        UnevenMean("uneven mean 0.1", 0.1),
        UnevenMean("uneven mean 0.3", 0.3),
        UnevenMean("uneven mean 0.7", 0.7),
        Design("log scales 0.3", homogeneity=0.3),
        Design("log scales 0.8", homogeneity=0.8),
        SmallFilters("small filters 0.125", 0.125),
        SmallFilters("small filters 0.5", 0.5),
        DeadFilters("dead filters 10 %", 0.1),
        DeadFilters("dead filters 40 %", 0.4),
        Laplace(),
        Gamma("gamma", 4.0),
        Uniform(),
        Quantised("quantised 7", 7),
        Quantised("quantised 127", 127),
        Sparse("sparse 60 %", 0.6),
        Sparse("sparse 90 %", 0.9),
        Orthogonal(),
        TwoPopulations("populations even", "even"),
        TwoPopulations("populations first", "first"),
        TwoPopulations("populations random", "random"),
        Copies("copies", 1),
        Copies("flipped copies", -1),
        Clusters(),
    )
}


def _smooth(correlation: float) -> SimulatedLaw:
    return SmoothKernels("", correlation)


def _grouped(correlation: float) -> SimulatedLaw:
    return ChannelGroup("", correlation)


def _loaded(share: float) -> SimulatedLaw:
    return ChannelFactor("", share)


def _of_two_scales(spread: float) -> SimulatedLaw:
    return TwoScales("", spread)


def _scaled(spread: float) -> SimulatedLaw:
    return Design("", homogeneity=spread)


def _uneven(rms: float) -> SimulatedLaw:
    return UnevenMean("", rms)


#: A second way to depart from a condition: the word that names it, what it is, and its laws.
_OTHER_WAYS: Mapping[str, tuple[str, str, Callable[[float], SimulatedLaw]]] = {
    "gaussianity": ("by scale", "normal log scales of the filters", _scaled),
    "mean": ("uneven", "a mean that varies over the positions", _uneven),
    "epsilon": ("smooth", "autoregression along both axes of the kernel", _smooth),
    "independence": ("few channels", "a group of four channels", _grouped),
    "homogeneity": ("two scales", "two scales, equally many", _of_two_scales),
}


def alternatives(condition: str) -> list[str]:
    """Names of the designs that depart from one condition: by half, once, twice its margin.

    Where it can be violated in several ways, they come twice.

    Examples
    --------
    >>> alternatives("mean")[:3]
    ['mean 0.05', 'mean 0.1', 'mean 0.2']
    """
    return [design.name for design in _alternatives(CONDITIONS[condition])]


def _alternatives(condition: Condition) -> Iterator[SimulatedLaw]:
    name, parameter = condition.name, calibration_of(condition.name).parameter
    if parameter and not isinstance(Design("").parameters.get(parameter), float):
        raise CwdaError(
            f"condition {name!r}: {parameter!r} is not a parameter of a Design with a "
            "size; give a draw of its own in its calibration"
        )
    own: Callable[[float], SimulatedLaw] | None = (
        partial(_departing, parameter) if parameter else None
    )
    ways = [("", "the parameter of a Design", own)]
    if condition in BUILT_IN and name in _OTHER_WAYS:
        ways.append(_OTHER_WAYS[name])
    for way, kind, family in ways:
        for factor in (0.5, 1, 2):
            named = f"{name} {factor * condition.margin:g}"
            effect = float(named.split()[1])
            called = f"{named} {way}".strip()
            if family is None:
                yield Departure(called, name, effect)
            else:
                yield Tuned(called, name, effect, family, kind)


def _departing(parameter: str, size: float) -> SimulatedLaw:
    changed: dict[str, Any] = {parameter: size}
    return Design("", **changed)


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


def _designs(conditions: Sequence[Condition]) -> Iterator[SimulatedLaw]:
    yield from _null_designs()
    yield from STRUCTURES.values()
    for condition in conditions:
        yield from _alternatives(condition)


#: All designs by name.
DESIGNS: Mapping[str, SimulatedLaw] = ByName(_designs)
