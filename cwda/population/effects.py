"""How large the effects are: quantiles over layers, networks counted alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column
from cwda.arguments import require_between
from cwda.formatting import many
from cwda.population.tables import (
    Over,
    Surveyed,
    chosen_grouping,
    judged_layers,
    named_families,
    over,
    require_survey,
    sample_of,
    unlabelled,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EffectQuantiles", "EffectSpread", "effect_quantiles"]


@dataclass(frozen=True, kw_only=True)
class EffectQuantiles:
    """The effects of one condition in a group of layers: a row of `EffectSpread`."""

    condition: str = column("Name of the condition.")
    by: str = column("By what the layers are grouped.")
    group: str = column("Which of these layers.")
    families: int = column("Number of families of networks that are known.")
    unlabelled: int = column("Number of networks whose family is unknown.")
    over: Over = column("What intervals are over: `families`, or `networks` where none or one is.")
    networks: int = column("Number of networks, those with the same weights counted once.")
    layers: int = column("Number of layers that the condition judges.")
    margin: float = column("Largest effect that counts as negligible.")
    q05: float = column("Effect that 5 % of the layers stay below, networks counted alike.")
    q25: float = column("Effect that 25 % stay below.")
    median: float = column("Effect that half of the layers stay below.")
    median_low: float = column(
        "Lower limit of the median's interval, over families, or the networks of one."
    )
    median_high: float = column("Upper limit of the same interval.")
    q75: float = column("Effect that 75 % stay below.")
    q95: float = column("Effect that 95 % stay below.")


@dataclass(frozen=True, eq=False, repr=False)
class EffectSpread(Answer[EffectQuantiles]):
    """Quantiles of the effects, one row per condition and group of layers."""

    row: ClassVar[type] = EffectQuantiles

    def title(self) -> str:
        """Of how many networks."""
        most = max((row.networks for row in self.rows), default=0)
        return f"effects in the layers of up to {many(most, 'network')}, networks counted alike"

    def summary(self) -> pd.DataFrame:
        """The quantiles, without the counts."""
        return self.table.drop(
            columns=["by", "families", "unlabelled", "over", "median_low", "median_high"]
        )


def effect_quantiles(
    survey: Surveyed, by: str | None = None, *, level: float = 0.95
) -> EffectSpread:
    """Quantiles of each effect over the layers of many networks, all or in groups.

    A layer weighs 1 / (number of its network's layers in the group), so that networks count
    alike whatever their depth. Intervals are over families of networks, within
    one family over its networks (Woodruff).

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    by : str, optional
        "family", "task", "depth", "width", "kernel" or "groups"; all layers together by default.
    level : float
        Confidence of the interval of the median.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the grouping or level is unknown.

    References
    ----------
    Woodruff (1952), Confidence intervals for medians and other position measures, JASA 47.
    """
    survey, grouping = require_survey(survey), chosen_grouping(by)
    level = require_between(level, 0, 1, "level")
    rows = judged_layers(survey)
    rows = rows.assign(group=grouping.label(rows))
    groups = rows.groupby(["condition", "group"], sort=False)
    found = [
        _quantiles(str(condition), grouping.name, str(group), part, level)
        for (condition, group), part in groups
    ]
    return EffectSpread(tuple(found), (), level=level)


def _quantiles(
    condition: str, by: str, group: str, rows: pd.DataFrame, level: float
) -> EffectQuantiles:
    sample = sample_of(rows, level)
    median = sample.quantile(rows["effect"], 0.5)
    q05, q25, q75, q95 = sample.quantiles(rows["effect"], [0.05, 0.25, 0.75, 0.95]).tolist()
    return EffectQuantiles(
        condition=condition,
        by=by,
        group=group,
        families=named_families(rows),
        unlabelled=unlabelled(rows),
        over=over(rows),
        networks=rows["hash"].nunique(),
        layers=len(rows),
        margin=float(rows["margin"].iloc[0]),
        q05=q05,
        q25=q25,
        median=median.value,
        median_low=median.low,
        median_high=median.high,
        q75=q75,
        q95=q95,
    )
