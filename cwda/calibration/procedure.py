"""What a procedure under study is, and the simulated layer it is applied to."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cwda.calibration.laws import SimulatedLaw, Size
from cwda.conditions import CONDITIONS, ConditionResult
from cwda.conditions.layerwise import check_layer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALPHA", "Domain", "Draw", "Outcomes", "Procedure", "Truth", "generator"]

#: Level of each test; intervals of effects have level 1 - 2 ALPHA.
ALPHA = 0.05

Outcomes = Mapping[str, bool]


class Draw:
    """One simulated layer and what the procedures find in it, each computed once.

    Its seed is made of the study's seed, the design, the size and the number of the replicate, so
    that neither the order of the cells nor their selection matters.
    """

    def __init__(
        self,
        design: SimulatedLaw,
        size: Size,
        seed: int,
        replicate: int,
        device: str,
        conditions: Collection[str],
    ) -> None:
        self.design, self.size, self.device = design, size, device
        self._conditions = list(conditions)
        self.layer = design.draw(size, generator(design, size, seed, replicate + 1))
        self.replicate = replicate
        self._found: dict[str, pd.DataFrame] = {}

    @cached_property
    def checked(self) -> Mapping[str, ConditionResult]:
        """Results of the conditions by name."""
        # What `check` does with a layer, without the network, its table and adjusted p-values.
        conditions = [CONDITIONS[name] for name in self._conditions]
        margins = {condition.name: condition.margin for condition in conditions}
        rows = check_layer(self.layer, conditions, margins, 1 - 2 * ALPHA, self.device)
        return {row.condition: row for row in rows}

    def once(self, name: str, find: Callable[[Draw], pd.DataFrame]) -> pd.DataFrame:
        """A table that several procedures read, found by the first of them."""
        if name not in self._found:
            self._found[name] = find(self)
        return self._found[name]


@dataclass(frozen=True)
class Truth:
    """A true value with its standard error, 0 if it is exact; NaN if unknown."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Domain:
    """Where a procedure claims its nominal error.

    Attributes
    ----------
    fewest_filters : int
        With fewer it does not.
    fewest_channels : int
        With fewer it does not either.
    excluded : tuple of str
        Departures of a law under which it does not.
    descriptive : bool
        It does nowhere: the number is shown without claim.
    """

    fewest_filters: int = 8
    fewest_channels: int = 1
    excluded: tuple[str, ...] = ()
    descriptive: bool = False

    def __contains__(self, cell: tuple[SimulatedLaw, Size]) -> bool:
        design, size = cell
        return (
            not self.descriptive
            and size.n_filters >= self.fewest_filters
            and size.channels >= self.fewest_channels
            and design.departures.isdisjoint(self.excluded)
        )

    def __str__(self) -> str:
        if self.descriptive:
            return "none: descriptive"
        parts = [f"{self.fewest_filters} filters or more"]
        if self.fewest_channels > 1:
            parts.append(f"{self.fewest_channels} channels or more")
        if self.excluded:
            parts.append("no " + ", ".join(_IN_WORDS.get(name, name) for name in self.excluded))
        return ", ".join(parts)


#: Departures whose names are those of conditions or too short to read.
_IN_WORDS: Mapping[str, str] = {
    "heavy": "heavy tails",
    "mean": "mean other than zero",
    "variance": "unequal variances",
    "epsilon": "covariance inside the blocks",
    "homogeneity": "filters of unequal scale",
    "independence": "correlated channels",
    "gaussianity": "weights that are not normal",
    "channel factor": "factor of all channels",
    "mean pattern": "mean that varies over the positions",
}


@dataclass(frozen=True)
class Procedure:
    """A test or an interval, or both.

    Attributes
    ----------
    name : str
        Name in tables.
    designs : tuple of str
        The designs it is measured under.
    outcomes : callable
        From a draw and the truth to what happened: "test" (p <= .05), "interval" (it covers),
        "lower limit" and "upper limit" (it misses), "holds" and "fails". What does not
        apply is left out.
    truth : callable
        From design, size and seed to the value that the interval is about.
    null : callable
        Whether the hypothesis of the test is true under a design and size.
    applies : callable
        Whether a layer of a size has this procedure.
    domain, interval_domain : Domain
        Where the test, and where the interval, claims its error.
    condition : str
        The condition that it asks of the draw, or "".
    level : float
        Nominal coverage of the interval.
    margin : float
        Margin of the verdict.
    at_most : bool
        Whether the level of the test is a bound from above, such as Holm's.
    one_sided : bool
        Whether the value is never negative, so that at 0 only the lower limit can miss.
    """

    name: str
    designs: tuple[str, ...]
    outcomes: Callable[[Draw, float], Outcomes]
    truth: Callable[[SimulatedLaw, Size, int], Truth]
    null: Callable[[SimulatedLaw, Size], bool]
    applies: Callable[[Size], bool]
    domain: Domain
    interval_domain: Domain
    condition: str = ""
    level: float = 1 - 2 * ALPHA
    margin: float = math.nan
    at_most: bool = False
    one_sided: bool = False


def generator(design: SimulatedLaw, size: Size, seed: int, stream: int) -> np.random.Generator:
    """The random numbers of one stream of a cell: 0 for its truth, i + 1 for replicate i."""
    key = (zlib.crc32(design.name.encode()), size.n_filters, size.channels, size.kernel_size)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*key, stream)))
