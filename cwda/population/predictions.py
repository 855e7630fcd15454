"""How well rank correlations are predicted, over the layers of many networks."""

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
    compared_layers,
    named_families,
    over,
    require_survey,
    sample_of,
    unlabelled,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PredictionAccuracies", "PredictionAccuracy", "prediction_accuracy"]


@dataclass(frozen=True, kw_only=True)
class PredictionAccuracy:
    """Predicted compared with measured, of one pair of criteria: a row of the answer."""

    pair: str = column("The two criteria.")
    by: str = column("By what the layers are grouped.")
    group: str = column("Which of these layers.")
    families: int = column("Number of families of networks that are known.")
    unlabelled: int = column("Number of networks whose family is unknown.")
    over: Over = column("What intervals are over: `families`, or `networks` where none or one is.")
    networks: int = column("Number of networks, those with the same weights counted once.")
    layers: int = column("Number of layers with both coefficients.")
    measured: float = column("Median Spearman coefficient measured, networks counted alike.")
    measured_low: float = column(
        "Lower limit of its interval, over families, or the networks of one."
    )
    measured_high: float = column("Upper limit of the same interval.")
    above: float = column("Share of the layers where it is .9 or more.")
    mae: float = column("Mean absolute difference of predicted and measured.")
    mae_low: float = column("Lower limit of its interval.")
    mae_high: float = column("Upper limit of its interval.")
    bias: float = column("Mean of predicted - measured.")
    bias_low: float = column("Lower limit of its interval.")
    bias_high: float = column("Upper limit of its interval.")
    coverage: float = column("Share of the layers whose prediction interval holds the measured.")
    coverage_low: float = column("Lower limit of its interval.")
    coverage_high: float = column("Upper limit of its interval.")


@dataclass(frozen=True, eq=False, repr=False)
class PredictionAccuracies(Answer[PredictionAccuracy]):
    """Errors and coverage of the predictions, one row per pair of criteria and group."""

    row: ClassVar[type] = PredictionAccuracy

    def title(self) -> str:
        """Of how many layers."""
        most = max((row.layers for row in self.rows), default=0)
        return f"predicted and measured rank correlations in up to {many(most, 'layer')}"

    def summary(self) -> pd.DataFrame:
        """Errors and coverage, without their intervals."""
        shown = ["pair", "group", "networks", "layers", "measured", "above", "mae", "bias"]
        return self.table[[*shown, "coverage"]]


def prediction_accuracy(
    survey: Surveyed, by: str | None = None, *, level: float = 0.95
) -> PredictionAccuracies:
    """Error, bias and coverage of predicted rank correlations, networks counted alike.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    by : str, optional
        As in `effect_quantiles`.
    level : float
        Confidence of the intervals over families; not that of the predictions.

    Raises
    ------
    CwdaError
        As `effect_quantiles`.
    """
    survey, grouping = require_survey(survey), chosen_grouping(by)
    level = require_between(level, 0, 1, "level")
    rows = compared_layers(survey)
    rows = rows.assign(group=grouping.label(rows))
    found = [
        _accuracy(str(pair), grouping.name, str(group), part, level)
        for (pair, group), part in rows.groupby(["pair", "group"], sort=False)
    ]
    return PredictionAccuracies(tuple(found), (), level=level)


def _accuracy(
    pair: str, by: str, group: str, rows: pd.DataFrame, level: float
) -> PredictionAccuracy:
    sample = sample_of(rows, level)
    difference = rows["predicted"] - rows["measured"]
    measured = sample.quantile(rows["measured"], 0.5)
    mae = sample.mean(difference.abs(), positive=True)
    bias = sample.mean(difference)
    inside = (rows["low"] <= rows["measured"]) & (rows["measured"] <= rows["high"])
    coverage = sample.share(inside)
    return PredictionAccuracy(
        pair=pair,
        by=by,
        group=group,
        families=named_families(rows),
        unlabelled=unlabelled(rows),
        over=over(rows),
        networks=rows["hash"].nunique(),
        layers=len(rows),
        measured=measured.value,
        measured_low=measured.low,
        measured_high=measured.high,
        above=sample.share(rows["measured"] >= 0.9).value,
        mae=mae.value,
        mae_low=mae.low,
        mae_high=mae.high,
        bias=bias.value,
        bias_low=bias.low,
        bias_high=bias.high,
        coverage=coverage.value,
        coverage_low=coverage.low,
        coverage_high=coverage.high,
    )
