"""Where a network stands among the other networks of a survey, networks counted alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cwda.population.clusters import Estimate
from cwda.population.generality import FEWEST_FAMILIES, MOST_UNKNOWN
from cwda.population.tables import (
    Surveyed,
    compared_layers,
    judged_networks,
    named_families,
    sample_of,
    unlabelled,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FEWEST",
    "OF_PAIRS",
    "Others",
    "Place",
    "correlations",
    "excess_of",
    "network_effects",
    "over_layers",
    "place",
    "spans_families",
]

#: Quartiles and shares of fewer networks say more of these than of networks.
FEWEST = 20

#: What is said of the rank correlations of two criteria in a network, by its name in a table.
OF_PAIRS = ("measured", "predicted", "error")


@dataclass(frozen=True, eq=False)
class Others:
    """A survey without some of its networks; its tables are those of `Surveyed`.

    Attributes
    ----------
    survey : Surveyed
        All networks.
    without : frozenset of str
        Hashes of those that are left out.
    """

    survey: Surveyed
    without: frozenset[str]

    @cached_property
    def networks(self) -> pd.DataFrame:
        """The networks that are left."""
        return self._left(self.survey.networks)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """Their layers."""
        return self._left(self.survey.layers)

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """The conditions in their layers."""
        return self._left(self.survey.conditions)

    @cached_property
    def network_conditions(self) -> pd.DataFrame:
        """The conditions in each of them as a whole."""
        return self._left(self.survey.network_conditions)

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """Pairs of criteria in their layers."""
        return self._left(self.survey.similarity)

    def _left(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[~table["hash"].isin(self.without)]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a value stands among those of the networks of a survey.

    Attributes
    ----------
    value : float
        The value; NaN if the network has none.
    networks : int
        Number of networks that have one.
    smaller, larger : int
        Number of these whose value is smaller, and larger.
    quartiles : tuple of float
        Lower quartile, median and upper quartile of these; NaN of fewer than 20 networks.
    share : Estimate
        Share of these whose value is smaller, with its interval over families; NaN of fewer than
        20 networks. The limits are NaN where too few families are known.
    """

    value: float
    networks: int
    smaller: int
    larger: int
    quartiles: tuple[float, float, float]
    share: Estimate


def place(value: float, rows: pd.DataFrame, *, level: float = 0.95) -> Place:
    """The place of a value in a table with one row per network.

    Parameters
    ----------
    value : float
        The value of a network.
    rows : DataFrame
        The columns `hash`, `family` and `value` of the others.
    level : float
        Confidence of the interval over families.
    """
    smaller, larger = rows["value"] < value, rows["value"] > value
    quartiles, share = (math.nan,) * 3, Estimate(math.nan, math.nan, math.nan)
    if len(rows) >= FEWEST:
        sample = sample_of(rows, level, None)
        first, middle, last = sample.quantiles(rows["value"], [0.25, 0.5, 0.75]).tolist()
        quartiles = first, middle, last
        if not math.isnan(value):
            share = sample.share(smaller)
            if not spans_families(rows):
                share = Estimate(share.value, math.nan, math.nan)
    return Place(
        value=value,
        networks=len(rows),
        smaller=int(smaller.sum()),
        larger=int(larger.sum()),
        quartiles=quartiles,
        share=share,
    )


def spans_families(rows: pd.DataFrame) -> bool:
    """Whether enough families of these networks are known for intervals over them."""
    few_unknown = unlabelled(rows) <= MOST_UNKNOWN * rows["hash"].nunique()
    return few_unknown and named_families(rows) >= FEWEST_FAMILIES


def network_effects(survey: Surveyed) -> pd.DataFrame:
    """One row per network and condition: its effect as `value`, and the survey's margin."""
    return judged_networks(survey).rename(columns={"effect": "value"})


def excess_of(effects: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """One row per network: the median over these conditions of effect / margin as `value`."""
    rows = effects[effects["condition"].isin([*conditions])]
    rows = rows.assign(value=rows["value"] / rows["margin"])
    return rows.groupby(["hash", "family"], as_index=False)["value"].median()


def correlations(survey: Surveyed) -> pd.DataFrame:
    """One row per network and pair of criteria, as `over_layers` makes them."""
    return over_layers(compared_layers(survey), ["hash", "family", "pair"])


def over_layers(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """Medians of the coefficients over the layers of each, and the mean absolute error."""
    rows = rows.assign(error=(rows["predicted"] - rows["measured"]).abs())
    how: Mapping[str, str] = dict(zip(OF_PAIRS, ("median", "median", "mean"), strict=True))
    return rows.groupby(key, as_index=False, sort=False).agg(how)
