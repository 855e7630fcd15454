"""Which conditions hold where: shares of layers, of networks and of families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from cwda.answers import Answer, column
from cwda.arguments import require_between
from cwda.choices import JUDGED
from cwda.formatting import many
from cwda.population.tables import (
    Over,
    Surveyed,
    chosen_grouping,
    judged_layers,
    judged_networks,
    named_families,
    over,
    require_survey,
    sample_of,
    unlabelled,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOGETHER", "Unit", "VerdictShare", "VerdictShares", "verdict_shares"]

#: The name of all conditions together: the worst verdict of those that judge.
TOGETHER = "all conditions"

#: What a share is a share of.
Unit = Literal["layers", "networks", "families"]

#: The column whose values weigh alike in a share; None where the rows do.
_EACH: dict[Unit, str | None] = {"layers": "hash", "networks": None, "families": "family"}


@dataclass(frozen=True, kw_only=True)
class VerdictShare:
    """How often a condition holds in a group: a row of `VerdictShares`."""

    condition: str = column(
        "Name of the condition; `all conditions` for the worst verdict of those that judge."
    )
    unit: Unit = column(
        "What the shares are of: `layers` (networks counted alike), `networks` as a whole, or "
        "`families` (each the mean of its networks, families counted alike)."
    )
    by: str = column("By what they are grouped.")
    group: str = column("Which of them.")
    families: int = column("Number of families of networks that are known.")
    unlabelled: int = column("Number of networks whose family is unknown.")
    over: Over = column("What intervals are over: `families`, or `networks` where none or one is.")
    networks: int = column("Number of networks, those with the same weights counted once.")
    judged: int = column("Number of layers or networks that are judged.")
    holds: float = column("Share in which the condition holds.")
    holds_low: float = column("Lower limit of its interval, over families, or the networks of one.")
    holds_high: float = column("Upper limit of the same interval.")
    fails: float = column("Share in which it fails.")
    fails_low: float = column("Lower limit of its interval.")
    fails_high: float = column("Upper limit of its interval.")
    inconclusive: float = column("Share that cannot be decided.")


@dataclass(frozen=True, eq=False, repr=False)
class VerdictShares(Answer[VerdictShare]):
    """Which conditions hold where, one row per condition, unit and group."""

    row: ClassVar[type] = VerdictShare

    def title(self) -> str:
        """Of how many networks."""
        most = max((row.networks for row in self.rows), default=0)
        return f"verdicts in up to {many(most, 'network')}, {100 * self.level:g} % intervals"

    def summary(self) -> pd.DataFrame:
        """The shares, without the grouping and most counts."""
        return self.table.drop(columns=["by", "families", "unlabelled", "over", "judged"])


def verdict_shares(
    survey: Surveyed, by: str | None = None, *, level: float = 0.95
) -> VerdictShares:
    """Shares of the layers, networks and families in which each condition holds or fails.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    by : str, optional
        As in `effect_quantiles`; networks and families as a whole are grouped by "family" and
        "task" only, and have no rows otherwise.
    level : float
        Confidence of the intervals, which are over families of networks, within one family over
        its networks.

    Raises
    ------
    CwdaError
        As `effect_quantiles`.

    References
    ----------
    Korn and Graubard (1998), Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data, Survey Methodology 24.
    """
    survey, grouping = require_survey(survey), chosen_grouping(by)
    level = require_between(level, 0, 1, "level")
    layers = _with_together(judged_layers(survey), ["hash", "layer"])
    tables: dict[Unit, pd.DataFrame] = {"layers": layers.assign(group=grouping.label(layers))}
    if grouping.of_networks:
        networks = _with_together(judged_networks(survey), ["hash"])
        networks = networks.assign(group=grouping.label(networks))
        tables["networks"] = networks
        if grouping.name != "family":
            tables["families"] = networks
    found = [
        share
        for unit, table in tables.items()
        for share in _shares(table, unit, grouping.name, level)
    ]
    return VerdictShares(tuple(found), (), level=level)


def _with_together(rows: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """The rows, and one per layer or network with the worst verdict of its conditions."""
    import pandas as pd

    severity = rows["verdict"].map(["holds", "inconclusive", "fails"].index)
    worst = rows.assign(severity=severity).sort_values("severity", kind="stable")
    worst = worst.drop_duplicates(key, keep="last").drop(columns="severity")
    return pd.concat([rows, worst.assign(condition=TOGETHER)], ignore_index=True)


def _shares(rows: pd.DataFrame, unit: Unit, by: str, level: float) -> Iterator[VerdictShare]:
    for (condition, group), part in rows.groupby(["condition", "group"], sort=False):
        sample = sample_of(part, level, _EACH[unit])
        verdicts = part["verdict"].to_numpy(dtype=object)
        shares = {verdict: sample.share(verdicts == verdict) for verdict in JUDGED}
        yield VerdictShare(
            condition=str(condition),
            unit=unit,
            by=by,
            group=str(group),
            families=named_families(part),
            unlabelled=unlabelled(part),
            over=over(part),
            networks=part["hash"].nunique(),
            judged=len(part),
            holds=shares["holds"].value,
            holds_low=shares["holds"].low,
            holds_high=shares["holds"].high,
            fails=shares["fails"].value,
            fails_low=shares["fails"].low,
            fails_high=shares["fails"].high,
            inconclusive=shares["inconclusive"].value,
        )
