"""The survey that a report is given, without the networks that the report is about."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cwda.choices import JUDGED, Scale
from cwda.conditions.reference import require_raw
from cwda.errors import CwdaError
from cwda.population.others import (
    Others,
    Place,
    correlations,
    excess_of,
    network_effects,
    over_layers,
    place,
)
from cwda.population.shares import TOGETHER, VerdictShare, verdict_shares
from cwda.population.tables import Surveyed, analysed, require_survey
from cwda.reporting.subject import Subject
from cwda.theory import CROSS_FITTED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALL", "Among", "Places", "as_survey"]

#: Places of a network by what they are about, such as the name of a condition.
Places = Mapping[str, Place]

#: What all conditions of a network together are called: the median of effect / margin.
ALL = "all, in margins"


def as_survey(value: object, scale: Scale = "raw") -> Surveyed | None:
    """A survey to compare with networks at this scale, or one read from its folder.

    Raises
    ------
    CwdaError
        If it is neither, no network of it was analysed, or the scale is another than its own.
    """
    if value is None:
        return None
    require_raw(scale, "a survey")
    if not isinstance(value, str | Path):
        return require_survey(value)
    from cwda.surveys import read_survey

    survey = read_survey(value)
    if "done" not in survey.statuses:
        told = survey.title() if len(survey.networks) else "it is empty"
        raise CwdaError(f"{survey.folder}: no network of this survey was analysed: {told}")
    return require_survey(survey)


@dataclass(frozen=True, eq=False)
class Among:
    """The other networks of a survey, and what was left out of it.

    Attributes
    ----------
    survey : Surveyed
        All its networks.
    same : mapping of str to frozenset of str
        By the name of each network reported, the hashes that the survey has of it.
    """

    survey: Surveyed
    same: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, survey: Surveyed, subjects: Iterable[Subject]) -> Among:
        """The networks of a survey but those that are reported."""
        return cls(survey, {one.network.name: _same(survey, one) for one in subjects})

    @cached_property
    def others(self) -> Others:
        """The survey without the networks that are reported."""
        return Others(self.survey, frozenset[str]().union(*self.same.values()))

    @cached_property
    def known(self) -> pd.DataFrame:
        """One row per other network that was analysed."""
        return analysed(self.others)

    @cached_property
    def effects_of_others(self) -> pd.DataFrame:
        """Effects and margins of the other networks."""
        return network_effects(self.others)

    @cached_property
    def correlations_of_others(self) -> pd.DataFrame:
        """Rank correlations in the other networks."""
        return correlations(self.others)

    @cached_property
    def verdicts(self) -> VerdictShare:
        """In how many other networks all conditions hold, or one fails."""
        shares = verdict_shares(self.others)
        return next(row for row in shares if row.condition == TOGETHER and row.unit == "networks")

    @cached_property
    def margins(self) -> Mapping[str, float]:
        """The margins of the survey, by condition."""
        first = self.effects_of_others.groupby("condition")["margin"].first()
        return {str(name): float(margin) for name, margin in first.items()}

    @property
    def settings(self) -> Mapping[str, Any]:
        """With what the survey was made; empty where that is not known."""
        found: Mapping[str, Any] = getattr(self.survey, "settings", {})
        return found

    def effects(self, subject: Subject) -> Places:
        """The place of each effect of a network, and last that of all together."""
        rows = self.effects_of_others
        own = {
            row.condition: row.effect if row.verdict in JUDGED else math.nan
            for row in subject.whole
            if row.condition in self.margins
        }
        found = {
            name: place(effect, rows[rows["condition"] == name]) for name, effect in own.items()
        }
        excess = [effect / self.margins[name] for name, effect in own.items()]
        judged = [value for value in excess if not math.isnan(value)]
        middle = float(np.median(judged)) if judged else math.nan
        return {**found, ALL: place(middle, excess_of(rows, own))}

    def correlations(self, subject: Subject, value: str) -> Places:
        """The place of what is said of each pair: a value of `population.others.OF_PAIRS`."""
        table = subject.comparison.table
        table = table[table["rung"] == CROSS_FITTED.name].dropna(subset=["measured", "predicted"])
        table = table.assign(pair=table["criterion_a"] + " and " + table["criterion_b"])
        own = over_layers(table, ["pair"]).set_index("pair")[value].to_dict()
        rows = self.correlations_of_others.rename(columns={value: "value"})
        return {
            pair: place(float(number), rows[rows["pair"] == pair])
            for pair, number in own.items()
            if pair in set(rows["pair"])
        }


def _same(survey: Surveyed, subject: Subject) -> frozenset[str]:
    """The hashes of the networks of a survey with the same weights, or from the same file."""
    from cwda.surveys.workers.measure import fingerprint

    networks, file = survey.networks, subject.network.provenance.sha256
    same = networks["hash"] == (fingerprint(subject.network) if subject.has_weights else "")
    if file and "sha256" in networks:
        same |= networks["sha256"] == file
    return frozenset(networks.loc[same, "hash"]) - {""}
