"""`Reference`: effects of many networks, to say whether a layer is unusual.

A table of quantiles by condition, family, width and kernel, made of a survey by
`cwda.population.make_reference`. A layer is set beside the most specific group that is there:
layers with its kernel and width, of its family if one is named; then with its kernel; then all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cwda.answers import Answer, column, spread
from cwda.arguments import as_path, choose, require_type
from cwda.choices import Scale
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult
from cwda.errors import CwdaError
from cwda.formatting import many

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ANY",
    "PROBABILITIES",
    "UNUSUAL",
    "Placing",
    "Reference",
    "ReferenceGroup",
    "as_reference",
    "kernel_kind",
    "placings",
    "quantile_name",
    "require_raw",
    "width_band",
]

#: In place of a family, width or kernel: whatever it is.
ANY = "any"

#: Of the quantiles that a reference keeps: finer where it matters which layers are unusual.
PROBABILITIES = (
    *(0.0, 0.01, 0.025),
    *(round(0.05 * i, 2) for i in range(1, 18)),
    *(round(0.01 * i, 2) for i in range(90, 100)),
    *(0.995, 1.0),
)

#: An effect larger than in this share of comparable layers, at its lower limit, is unusual.
UNUSUAL = 0.95

#: The largest number of filters of each band but the last.
_BANDS = (16, 32, 64, 128, 256)


def width_band(n_filters: int) -> str:
    """The band of widths that a layer belongs to.

    Examples
    --------
    >>> width_band(16), width_band(17), width_band(512)
    ('1 to 16', '17 to 32', '257 or more')
    """
    lowest = 1
    for highest in _BANDS:
        if n_filters <= highest:
            return f"{lowest} to {highest}"
        lowest = highest + 1
    return f"{lowest} or more"


def kernel_kind(kernel: str | tuple[int, ...]) -> str:
    """The kind of a kernel, given as its shape, or as that in words.

    Examples
    --------
    >>> [kernel_kind(shape) for shape in ("1x1", "3x3", "1x7", "5", (5, 5), (1,))]
    ['1x1', '3x3', 'along one axis', 'along one axis', 'other', '1x1']
    """
    sides = tuple(int(side) for side in (kernel.split("x") if isinstance(kernel, str) else kernel))
    if math.prod(sides) == 1:
        return "1x1"
    if sides == (3, 3):
        return "3x3"
    return "along one axis" if sum(side > 1 for side in sides) == 1 else "other"


def quantile_name(probability: float, letter: str = "q") -> str:
    """The column of a quantile, or of what belongs to it.

    Examples
    --------
    >>> quantile_name(0.05), quantile_name(0.025), quantile_name(0.95, "low")
    ('q05', 'q02.5', 'low95')
    """
    whole, part = divmod(round(1000 * probability), 10)
    return f"{letter}{whole:02d}{f'.{part}' if part else ''}"


@dataclass(frozen=True, kw_only=True)
class ReferenceGroup:
    """The effects of one condition in comparable layers: a row of a `Reference`."""

    condition: str = column("Name of the condition.")
    family: str = column("Family of the networks; `any` for all of them.")
    width: str = column("Number of filters, such as `33 to 64`; `any` for all.")
    kernel: str = column("Kind of the kernel, such as `3x3`; `any` for all.")
    families: int = column("Number of their families that are known.")
    networks: int = column("Number of networks, those with the same weights counted once.")
    layers: int = column("Number of their layers that the condition judges.")
    quantiles: Mapping[str, float] = spread(
        "Quantiles of the effect, networks counted alike: `q00`, `q01`, ... `q100`."
    )
    lows: Mapping[str, float] = spread(
        "Lower limits of the share of layers of other families that stay below each quantile: "
        "`low00`, `low01`, ... `low100`; NaN from one network."
    )

    @property
    def words(self) -> str:
        """Which layers these are."""
        kernel = "" if self.kernel == ANY else f"{self.kernel}, "
        width = "" if self.width == ANY else f"{self.width} filters, "
        family = "" if self.family == ANY else f"{self.family}, "
        families = "one family" if self.families == 1 else f"{self.families} families"
        of = f" of {families}" if self.families and self.family == ANY else ""
        return f"{kernel}{width}{family}{many(self.networks, 'network')}{of}"

    def below(self, effect: float) -> tuple[float, float]:
        """Share of these layers whose effect is smaller, and its lower limit over families."""
        known, lows = (
            np.array([values[quantile_name(each, letter)] for each in PROBABILITIES])
            for values, letter in ((self.quantiles, "q"), (self.lows, "low"))
        )
        place = int(np.searchsorted(known, effect, side="left"))
        if place == 0:
            return 0.0, 0.0
        if place == len(known):
            return 1.0, float(lows[-1])
        part = (effect - known[place - 1]) / (known[place] - known[place - 1])
        share, low = (
            float(ends[place - 1] + (ends[place] - ends[place - 1]) * part)
            for ends in (np.array(PROBABILITIES), lows)
        )
        return share, low


@dataclass(frozen=True, eq=False, repr=False)
class Reference(Answer[ReferenceGroup]):
    """Quantiles of the effects of many networks: one row per condition and group of layers.

    Attributes
    ----------
    rows : tuple of ReferenceGroup
        The groups.
    surveyed : int
        Number of distinct networks that it rests on.
    families : int
        Number of their families.
    """

    surveyed: int = field(kw_only=True)
    families: int = field(kw_only=True)

    row: ClassVar[type] = ReferenceGroup

    def title(self) -> str:
        """What it rests on."""
        return (
            f"effects in the layers of {many(self.surveyed, 'network')}, {self.families} families"
        )

    def summary(self) -> pd.DataFrame:
        """Three of the quantiles of each group."""
        facts = ["condition", "family", "width", "kernel", "networks", "layers"]
        return self.table[[*facts, "q05", "q50", "q95"]]

    @cached_property
    def _groups(self) -> dict[tuple[str, ...], ReferenceGroup]:
        return {(row.condition, row.family, row.width, row.kernel): row for row in self.rows}

    def placed(self, result: CheckResult, *, family: str | None = None) -> CheckResult:
        """The answer with the place of every layer among comparable ones.

        Parameters
        ----------
        result : CheckResult
            What `cwda.check` gives, of filters as they are.
        family : str, optional
            A family of the reference to be compared with, where it has enough networks.

        Returns
        -------
        CheckResult
            The same rows with `percentile` and `comparable`.

        Raises
        ------
        CwdaError
            If the family is unknown, or the answer is about unit directions.
        """
        require_type(result, CheckResult, "the answer of cwda.check, a CheckResult,")
        require_raw(result.scale)
        wanted = ANY
        if family is not None:
            known = dict.fromkeys(row.family for row in self.rows if row.family != ANY)
            if not known:
                raise CwdaError("no family of this reference has enough networks of its own")
            (wanted,) = choose([family], known, "family")
        kernels = {
            (network.name, layer.name): layer.kernel
            for network in result.networks
            for layer in network
        }
        rows = tuple(
            self.place(row, kernels[row.network, row.layer], wanted) for row in result.rows
        )
        return replace(result, rows=rows)

    def place(
        self, row: ConditionResult, kernel: tuple[int, ...], family: str = ANY
    ) -> ConditionResult:
        """The row of a layer with such a kernel, with its place among comparable layers."""
        if math.isnan(row.effect):
            return row
        for key in _keys(row, kernel, family):
            if key in self._groups:
                group = self._groups[key]
                share, low = group.below(row.effect)
                return replace(row, percentile=share, percentile_low=low, comparable=group.words)
        return row


def require_raw(scale: Scale, what: str = "a reference") -> None:
    """Refuse unit directions, whose effects are others than those of what they are compared with.

    Raises
    ------
    CwdaError
        If the scale is "unit".
    """
    if scale != "raw":
        raise CwdaError(f"{what} is about filters as they are; check with scale='raw'")


def _keys(row: ConditionResult, kernel: tuple[int, ...], family: str) -> Iterator[tuple[str, ...]]:
    """The groups to be compared with, the most specific first."""
    kind, width = kernel_kind(kernel), width_band(row.n_filters)
    for own in dict.fromkeys((family, ANY)):
        for place in ((width, kind), (ANY, kind), (ANY, ANY)):
            yield (row.condition, own, *place)


@dataclass(frozen=True)
class Placing:
    """Where the layers of a network stand in one condition, among comparable layers.

    Attributes
    ----------
    condition : str
        Its name.
    layers : int
        Number of layers with a place.
    median : float
        Median over them of the share of comparable layers whose effect is smaller.
    unusual : tuple of ConditionResult
        Rows whose effect is larger than in 95 % of comparable layers, at the lower limit of that
        share, the largest first.
    """

    condition: str
    layers: int
    median: float
    unusual: tuple[ConditionResult, ...]

    @property
    def expected(self) -> float:
        """How many layers of a network like the others lie above 95 %, whatever the limit."""
        return (1 - UNUSUAL) * self.layers


def placings(rows: Iterable[ConditionResult]) -> list[Placing]:
    """The places of a network's layers, one for each condition that has any."""
    by_condition: dict[str, list[ConditionResult]] = {}
    for row in rows:
        if not math.isnan(row.percentile):
            by_condition.setdefault(row.condition, []).append(row)
    found = []
    for condition, own in by_condition.items():
        unusual = [row for row in own if row.percentile_low >= UNUSUAL]
        unusual.sort(key=lambda row: -row.percentile)
        median = float(np.median([row.percentile for row in own]))
        found.append(Placing(condition, len(own), median, tuple(unusual)))
    return found


def as_reference(value: object) -> Reference | None:
    """A reference, or one read from its file; None where none is given.

    Raises
    ------
    CwdaError
        If it is neither, or the file holds no reference.
    """
    if value is None or isinstance(value, Reference):
        return value
    if not isinstance(value, str | Path):
        raise CwdaError(
            "a reference is a file that `cwda survey --reference FILE` wrote, or what "
            f"Reference.load reads, not an object of type {type(value).__name__}"
        )
    try:
        return Reference.load(as_path(value))
    except CwdaError as error:
        raise CwdaError(f"{error}; `cwda survey --reference FILE` writes one") from None
