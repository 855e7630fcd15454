"""`PredictedSimilarity`: predicted rank correlations, and the frame of both ways to predict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from cwda.answers import Answer, column, common
from cwda.arguments import choose, require_between
from cwda.errors import CriterionError, OutOfMemory
from cwda.formatting import many
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.numerics.device import as_out_of_memory
from cwda.numerics.threads import few_threads
from cwda.progress import Counter, counter, showing
from cwda.theory.criteria import CRITERIA
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import LADDER, Rungs, choose_rungs, rung_meaning
from cwda.typing import Device, Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BOUND_MEANING",
    "CLOSED_FORM",
    "SIMULATED",
    "Forecast",
    "PredictedCorrelation",
    "PredictedSimilarity",
    "predict_layers",
]

#: The two ways to predict, `PredictedSimilarity.method`.
CLOSED_FORM, SIMULATED = "closed form", "simulated"

#: What the column `bound` of every table holds.
BOUND_MEANING = (
    "Moran's formula on the moments of the log-scores as measured: not a prediction, but what one "
    "through plain moments can reach; NaN but in rows of `cross-fitted`"
)

NAN = math.nan


@dataclass(frozen=True)
class Forecast:
    """Prediction of one Spearman coefficient.

    Attributes
    ----------
    rho : float
        Pearson correlation of the log-scores; NaN where simulated.
    spearman : float
        Its expectation at this number of filters.
    low, high : float
        Interval for the one coefficient that a layer shows.
    bound : float
        What the moments of the scores themselves give; NaN where the rung has no scores.
    reason : str
        Why nothing is predicted; empty otherwise.
    """

    rho: float
    spearman: float
    low: float
    high: float
    bound: float = NAN
    reason: str = ""


@dataclass(frozen=True)
class PredictedCorrelation:
    """Two criteria in one layer, as one rung predicts them."""

    network: str = common("network")
    layer: str = common("layer")
    criterion_a: str = column("first criterion of the pair, in the order l1, l2, gm, fermat")
    criterion_b: str = common("criterion_b")
    rung: str = column(rung_meaning(LADDER))
    rho: float = column("Pearson correlation of the log-scores; NaN where simulated")
    spearman: float = column("expected Spearman coefficient at this number of filters")
    low: float = column("lower limit of the prediction interval for the coefficient of the layer")
    high: float = column("upper limit of the prediction interval")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    bound: float = column(BOUND_MEANING)
    reason: str = column("why there is no prediction; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class PredictedSimilarity(Answer[PredictedCorrelation]):
    """Predicted Spearman coefficients, one row per layer, pair of criteria and rung.

    Attributes
    ----------
    method : str
        "closed form" or "simulated".
    """

    row: ClassVar[type] = PredictedCorrelation
    method: str = CLOSED_FORM

    def summary(self) -> pd.DataFrame:
        """Median coefficient over the layers: one row per pair of criteria, one column per rung."""
        pair = ["criterion_a", "criterion_b"]
        medians = self.table.groupby([*pair, "rung"], sort=False)["spearman"].median()
        wide = medians.unstack("rung")[list(self.table["rung"].drop_duplicates())]
        return wide.rename_axis(columns=None).reset_index()

    def title(self) -> str:
        """What is predicted, and how."""
        missing = len({row.layer for row in self.rows if row.reason})
        without = f", {many(missing, 'layer')} without a prediction" if missing else ""
        return (
            f"median predicted Spearman coefficient within the layers of {self.networks[0].name}, "
            f"{self.method}{without}"
        )


Pair: TypeAlias = tuple[str, str]
#: Takes one layer as each rung knows it, the pairs of criteria and a function that is told of
#: shares of the work; gives for each rung a forecast of each pair.
Forecaster: TypeAlias = Callable[
    [Sequence[FittedLayer], Sequence[Pair], Callable[[float], None]], Sequence[Sequence[Forecast]]
]


def predict_layers(
    source: Source,
    criteria: str | Named | Iterable[str | Named] | None,
    rungs: Rungs | None,
    level: float,
    device: Device,
    progress: bool,
    method: str,
    forecast: Forecaster,
) -> PredictedSimilarity:
    """Fit each layer, hand it to `forecast` as the rungs know it, and gather the rows.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or there are fewer than two.
    CwdaError
        If a rung is unknown, the level impossible or the source of the wrong type.
    """
    names = choose(criteria, CRITERIA, "criterion", CriterionError)
    ladder = choose_rungs(rungs)
    pairs = list(itertools.combinations(names, 2))
    if not pairs:
        raise CriterionError(f"2 criteria or more are needed, not {len(names)}")
    require_between(level, 0, 1, "level")
    network = network_of(source)
    rows: list[PredictedCorrelation] = []
    nothing = [[Forecast(NAN, NAN, NAN, NAN)] * len(pairs)] * len(ladder)
    done, total = 0, sum(layer.n_weights for layer in network.layers)
    with showing(progress), counter("predicting", total, unit=" weights") as bar:
        for layer in network.layers:
            fitted, reason = fit_or_reason(layer, device=device)
            if fitted:
                advance = partial(_advance, bar, layer.n_weights)
                try:
                    with few_threads(layer.n_weights):
                        models = [rung(fitted) for rung in ladder]
                        work = partial(forecast, models, pairs, advance)
                        forecasts = as_out_of_memory(work, device)
                except OutOfMemory as error:
                    forecasts, reason = nothing, str(error)
            else:
                forecasts = nothing
            rows += [
                PredictedCorrelation(
                    network.name,
                    layer.name,
                    *pair,
                    rung.name,
                    one.rho,
                    one.spearman,
                    one.low,
                    one.high,
                    n_filters=layer.n_filters,
                    dim=layer.dim,
                    bound=one.bound,
                    reason=reason or one.reason,
                )
                for rung, of_rung in zip(ladder, forecasts, strict=True)
                for pair, one in zip(pairs, of_rung, strict=True)
            ]
            done += layer.n_weights
            bar.update(done, total)
    return PredictedSimilarity(tuple(rows), (network,), level=level, method=method)


def _advance(bar: Counter, weights: int, share: float) -> None:
    """So large a share of a layer of so many weights is done."""
    bar.advance(share * weights)
