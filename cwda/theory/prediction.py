"""`PredictedSimilarity`: a thin object round the table of predicted rank correlations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from cwda.arguments import choose, require_between
from cwda.errors import CriterionError
from cwda.loading.sources import Source, network_of
from cwda.progress import steps
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.moments import CRITERIA

if TYPE_CHECKING:
    import pandas as pd
    import torch

__all__ = [
    "CLOSED_FORM",
    "COLUMNS",
    "RUNGS",
    "SIMULATED",
    "Forecast",
    "PredictedCorrelation",
    "PredictedSimilarity",
    "choose_rungs",
    "predict_layers",
]

#: The ladder of models; each rung adds one departure.
RUNGS = ("isotropic", "diagonal", "block", "scale", "shape")

#: The two ways to predict, `PredictedSimilarity.method`.
CLOSED_FORM, SIMULATED = "closed form", "simulated"

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
    """

    rho: float
    spearman: float
    low: float
    high: float


@dataclass(frozen=True)
class PredictedCorrelation:
    """One row: two criteria in one layer under one model.

    Attributes
    ----------
    network, layer : str
        What is predicted.
    criterion_a, criterion_b : str
        The criteria, in the order l1, l2, gm, fermat.
    rung : str
        The model, one of `RUNGS`.
    rho, spearman, low, high : float
        As in `Forecast`; NaN where the layer cannot be predicted.
    n_filters, dim : int
        n = N' and d = N k^2.
    reason : str
        Why there is no prediction; empty otherwise.
    """

    network: str
    layer: str
    criterion_a: str
    criterion_b: str
    rung: str
    rho: float
    spearman: float
    low: float
    high: float
    n_filters: int
    dim: int
    reason: str


#: Columns of the table.
COLUMNS = tuple(field.name for field in fields(PredictedCorrelation))


@dataclass(frozen=True)
class PredictedSimilarity:
    """Predicted Spearman coefficients of criteria within layers.

    Attributes
    ----------
    results : tuple of PredictedCorrelation
        One record a layer, pair of criteria and rung.
    level : float
        Level of the prediction intervals.
    method : str
        "closed form" or "simulated".
    """

    results: tuple[PredictedCorrelation, ...]
    level: float
    method: str

    def __len__(self) -> int:
        return len(self.results)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Tidy table, raw values."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.results], columns=list(COLUMNS))

    def summary(self) -> pd.DataFrame:
        """Median predicted coefficient over the layers, a row per pair, a column per rung."""
        rows = self.table
        medians = rows.groupby(["criterion_a", "criterion_b", "rung"], sort=False)["spearman"]
        wide = medians.median().unstack("rung")
        return wide[[rung for rung in RUNGS if rung in wide.columns]]

    def _repr_html_(self) -> str:
        table: str = self.summary().round(3).to_html(border=0)
        return f"<p>Median predicted Spearman coefficient within layers</p>{table}"

    def __repr__(self) -> str:
        missing = len({row.layer for row in self.results if row.reason})
        without = f", {missing} layers without a prediction" if missing else ""
        return f"PredictedSimilarity: {len(self)} rows{without}, .table has them all"


Pair = tuple[str, str]
Forecaster = Callable[[FittedLayer, Sequence[Pair], str], Sequence[Forecast]]


def predict_layers(
    source: Source,
    criteria: Sequence[str] | None,
    rungs: Sequence[str] | None,
    level: float,
    device: str | torch.device,
    method: str,
    forecast: Forecaster,
) -> PredictedSimilarity:
    """Fit each layer, hand it to `forecast` for each rung, and gather the rows.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or there are fewer than two.
    CwdaError
        If a rung is unknown, the level impossible or the source of the wrong type.
    """
    chosen = choose(criteria, CRITERIA, "criterion", CriterionError)
    ladder = choose_rungs(rungs)
    pairs = list(itertools.combinations(chosen, 2))
    if not pairs:
        raise CriterionError(f"2 criteria or more are needed, not {len(chosen)}")
    require_between(level, 0, 1, "level")
    network = network_of(source)
    results: list[PredictedCorrelation] = []
    for layer in steps(network.layers, "predicting"):
        nothing = [Forecast(NAN, NAN, NAN, NAN)] * len(pairs)
        fitted, reason = fit_or_reason(layer, device=device)
        for rung in ladder:
            found = forecast(fitted, pairs, rung) if fitted else nothing
            results += [
                PredictedCorrelation(
                    network.name,
                    layer.name,
                    *pair,
                    rung,
                    **asdict(one),
                    n_filters=layer.n_filters,
                    dim=layer.dim,
                    reason=reason,
                )
                for pair, one in zip(pairs, found, strict=True)
            ]
    return PredictedSimilarity(tuple(results), level, method)


def choose_rungs(names: Iterable[str] | None) -> list[str]:
    """The rungs asked for, all by default, in the order of the ladder.

    Raises
    ------
    CwdaError
        If one is unknown; the message names the nearest.
    """
    return choose(names, RUNGS, "rung")
