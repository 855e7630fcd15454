"""The networks one by one: which keep to the assumption best, and which worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column
from cwda.choices import Verdict
from cwda.formatting import many, number
from cwda.population.tables import Surveyed, analysed, judged_networks, require_survey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NetworkStanding", "Standings", "standings"]


@dataclass(frozen=True, kw_only=True)
class NetworkStanding:
    """How far one network is from the assumption: a row of `Standings`."""

    network: str = column("Name of the network.")
    hash: str = column("Digest of its weights, by which the tables of a survey are joined.")
    family: str = column("Its family.")
    task: str = column("What it was trained for.")
    layers: int = column("Number of its convolutions.")
    weights: int = column("Number of their weights.")
    judged: int = column("Number of conditions that are judged in the network as a whole.")
    holds: int = column("Number of these that hold.")
    fails: int = column("Number of these that fail.")
    verdict: Verdict = column("The worst of these verdicts.")
    excess: float = column(
        "Median over these conditions of effect / margin: below 1 if most effects are negligible."
    )
    worst: str = column("The condition whose effect is the most margins.")
    worst_excess: float = column("Its effect / margin.")


@dataclass(frozen=True, eq=False, repr=False)
class Standings(Answer[NetworkStanding]):
    """The networks of a survey, the closest to the assumption first."""

    row: ClassVar[type] = NetworkStanding

    def title(self) -> str:
        """How many networks, and the two ends."""
        if not self.rows:
            return "no network is judged"
        first, last = self.rows[0], self.rows[-1]
        return (
            f"{many(len(self.rows), 'network')}, from {first.network} (median effect "
            f"{number(first.excess)} margins) to {last.network} ({number(last.excess)})"
        )

    def summary(self) -> pd.DataFrame:
        """Verdict and distance of each network."""
        return self.table[["network", "family", "holds", "fails", "judged", "excess", "worst"]]


def standings(survey: Surveyed) -> Standings:
    """Order the networks by their median effect in margins over the conditions.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.

    Raises
    ------
    CwdaError
        If this is no survey, or no network was analysed.
    """
    survey = require_survey(survey)
    facts = analysed(survey).set_index("hash")
    rows = judged_networks(survey)
    rows = rows.assign(excess=rows["effect"] / rows["margin"])
    found = [_standing(str(key), part, facts.loc[key]) for key, part in rows.groupby("hash")]
    found.sort(key=lambda row: (row.excess, row.network))
    return Standings(tuple(found), (), level=float("nan"))


def _standing(key: str, rows: pd.DataFrame, facts: pd.Series) -> NetworkStanding:
    worst = rows.loc[rows["excess"].idxmax()]
    counts = rows["verdict"].value_counts()
    severity: tuple[Verdict, ...] = ("fails", "inconclusive", "holds")
    return NetworkStanding(
        network=str(facts["name"]),
        hash=key,
        family=str(facts["family"]),
        task=str(facts["task"]),
        layers=int(facts["n_layers"]),
        weights=int(facts["n_weights"]),
        judged=len(rows),
        holds=int(counts.get("holds", 0)),
        fails=int(counts.get("fails", 0)),
        verdict=next(verdict for verdict in severity if verdict in counts),
        excess=float(rows["excess"].median()),
        worst=str(worst["condition"]),
        worst_excess=float(worst["excess"]),
    )
