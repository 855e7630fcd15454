"""The tables of a survey, checked and joined: what every statistic of this room reads.

Networks with the same weights count once. A network counts as analysed if it has rows of
conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, cast

import numpy as np

from cwda.arguments import choose
from cwda.choices import JUDGED
from cwda.errors import CwdaError
from cwda.population.bands import GROUPINGS, Grouping
from cwda.population.clusters import Sample

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "UNKNOWN",
    "Over",
    "Surveyed",
    "analysed",
    "chosen_grouping",
    "compared_layers",
    "judged_layers",
    "judged_networks",
    "named_families",
    "over",
    "require_survey",
    "sample_of",
    "unlabelled",
]

#: In place of a family or task that nobody has named.
UNKNOWN = "unknown"

#: What an interval is over: what has been sampled, and is taken for independent.
Over = Literal["families", "networks"]

#: What is read of each table.
_NEEDED = {
    "networks": {"hash", "name", "status", "reason", "task", "family", "n_layers", "n_weights"},
    "layers": {"hash", "layer", "n_filters", "channels", "kernel", "groups", "depth"},
    "conditions": {"hash", "layer", "condition", "effect", "margin", "verdict", "reason"},
    "network_conditions": {"hash", "condition", "effect", "margin", "verdict"},
    "similarity": {
        *("hash", "layer", "criterion_a", "criterion_b"),
        *("measured", "predicted", "low", "high"),
    },
}


class Surveyed(Protocol):
    """What `cwda.read_survey` gives: a table for each kind of finding, joined by `hash`."""

    @property
    def networks(self) -> pd.DataFrame: ...
    @property
    def layers(self) -> pd.DataFrame: ...
    @property
    def conditions(self) -> pd.DataFrame: ...
    @property
    def network_conditions(self) -> pd.DataFrame: ...
    @property
    def similarity(self) -> pd.DataFrame: ...


def require_survey(value: object) -> Surveyed:
    """A survey with the tables and columns that are read here, of one network at least.

    Raises
    ------
    CwdaError
        If it is something else, lacks a column, or no network could be analysed.
    """
    for name, needed in _NEEDED.items():
        columns = getattr(getattr(value, name, None), "columns", None)
        if columns is None:
            raise CwdaError(
                f"a survey is needed, such as cwda.read_survey(FOLDER) gives, not an object of "
                f"type {type(value).__name__}"
            )
        if missing := sorted(needed - {*columns}):
            raise CwdaError(f"the table {name} of this survey has no column {missing[0]!r}")
    survey = cast(Surveyed, value)
    if analysed(survey).empty:
        raise CwdaError("no network of this survey could be analysed; its table networks says why")
    return survey


def analysed(survey: Surveyed) -> pd.DataFrame:
    """The networks that were analysed, each once, with family and task in words."""
    networks = survey.networks
    done = networks[networks["hash"].isin(survey.conditions["hash"].unique())]
    done = done.drop_duplicates("hash")
    labels = {name: done[name].fillna("").replace("", UNKNOWN) for name in ("family", "task")}
    return done.assign(**labels)


def chosen_grouping(by: object) -> Grouping:
    """The grouping of a name.

    Raises
    ------
    CwdaError
        If there is none; the message names the nearest.
    """
    found = choose(["all" if by is None else by], GROUPINGS, "grouping")
    return GROUPINGS[found[0]]


def judged_layers(survey: Surveyed) -> pd.DataFrame:
    """One row per layer and condition that was judged, with what is known of the layer."""
    rows = survey.conditions
    rows = rows[rows["verdict"].isin(JUDGED)]
    return _placed(survey, rows[["hash", "layer", "condition", "effect", "margin", "verdict"]])


def compared_layers(survey: Surveyed) -> pd.DataFrame:
    """One row per layer and pair of criteria that was both measured and predicted."""
    rows = survey.similarity
    rows = rows.dropna(subset=["measured", "predicted"])
    rows = rows.assign(pair=rows["criterion_a"] + " and " + rows["criterion_b"])
    wanted = ["hash", "layer", "pair", "measured", "predicted", "low", "high"]
    return _placed(survey, rows[wanted])


def _placed(survey: Surveyed, rows: pd.DataFrame) -> pd.DataFrame:
    facts = ["n_filters", "channels", "kernel", "groups", "depth"]
    layers = survey.layers.drop_duplicates(["hash", "layer"])[["hash", "layer", *facts]]
    networks = analysed(survey)[["hash", "name", "task", "family"]]
    key = [name for name in ("hash", "layer", "condition", "pair") if name in rows]
    joined = rows.drop_duplicates(key).merge(layers, on=["hash", "layer"])
    return joined.merge(networks, on="hash")


def judged_networks(survey: Surveyed) -> pd.DataFrame:
    """One row per network and condition that was judged in it, with family and task."""
    rows = survey.network_conditions
    rows = rows[rows["verdict"].isin(JUDGED)].drop_duplicates(["hash", "condition"])
    networks = analysed(survey)[["hash", "name", "task", "family"]]
    return rows[["hash", "condition", "effect", "margin", "verdict"]].merge(networks, on="hash")


def named_families(rows: pd.DataFrame) -> int:
    """Number of families that are known; networks without one are none."""
    return int(rows.loc[rows["family"] != UNKNOWN, "family"].nunique())


def unlabelled(rows: pd.DataFrame) -> int:
    """Number of networks whose family is unknown."""
    return int(rows.loc[rows["family"] == UNKNOWN, "hash"].nunique())


def over(rows: pd.DataFrame) -> Over:
    """What intervals of these rows are over.

    Networks whose family nobody has named may be copies of one another, and count as one family
    beside others.
    """
    return "families" if rows["family"].nunique() > 1 else "networks"


def sample_of(rows: pd.DataFrame, level: float, each: str | None = "hash") -> Sample:
    """The rows as a sample of families, in which all values of the column `each` weigh alike.

    Rows of one family alone, or of none that is known, are a sample of networks.
    """
    import pandas as pd

    weights = np.ones(len(rows))
    if each is not None:
        alike = pd.factorize(rows[each])[0]
        weights /= np.bincount(alike)[alike]
    clusters, _ = pd.factorize(rows["family" if over(rows) == "families" else "hash"])
    return Sample.of(weights, clusters, level)
