"""`Comparison`: predicted rank correlations compared with measured ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cwda.answers import Answer, column, common
from cwda.formatting import many
from cwda.numerics.proportions import wilson_interval
from cwda.theory.prediction import BOUND_MEANING
from cwda.theory.rungs import LADDER, rung_meaning

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ComparedCorrelation", "Comparison"]

_MODEL = ["method", "rung", "criterion_a", "criterion_b"]
#: Method and rung of the rows of the summary that are no predictions.
BOUND = ("measured moments", "bound")
_PLACE = ["network", "layer", "criterion_a", "criterion_b"]
# Two layers correlate perfectly whatever they show.
_FEWEST_LAYERS = 3


@dataclass(frozen=True)
class ComparedCorrelation:
    """Two criteria in one layer: the coefficient measured, and what one rung predicts."""

    network: str = common("network")
    layer: str = common("layer")
    criterion_a: str = common("criterion_a")
    criterion_b: str = common("criterion_b")
    method: str = column("how it is predicted: `closed form` or `simulated`")
    rung: str = column(rung_meaning(LADDER))
    measured: float = column("Spearman's coefficient of the scores")
    measured_low: float = column("lower limit of its confidence interval")
    measured_high: float = column("upper limit of its confidence interval")
    predicted: float = column("Spearman's coefficient as predicted")
    low: float = column("lower limit of the prediction interval")
    high: float = column("upper limit of the prediction interval")
    bound: float = column(BOUND_MEANING)
    difference: float = column("predicted - measured")
    inside: bool | None = column("whether low <= measured <= high")
    z: float = column(
        "deviation of the measured coefficient from the prediction in standard deviations, on "
        "Fisher's scale; see theory.md"
    )
    pvalue: float = column("two-sided p-value of z")
    pvalue_holm: float = column(
        "the same, adjusted by Holm's method over the layers of one network, method, rung and pair"
    )
    departs: bool | None = column("whether `pvalue_holm` is at most 1 - level")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    transition: bool = column(
        "whether the layer changes the number of channels: a kernel of several positions, and "
        "more or fewer filters than its input has channels, of which there are 5 or more"
    )
    reason: str = column("what in the row is undefined, and why; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Answer[ComparedCorrelation]):
    """Predicted and measured rank correlations, layer by layer.

    There is one row per network, layer, pair of criteria, method and rung. `level` is that of
    the prediction intervals, and 1 - level that of the tests for departure.
    """

    row: ClassVar[type] = ComparedCorrelation

    def summary(self) -> pd.DataFrame:
        """How well each rung predicts each pair of criteria, over all layers.

        Columns: ``method, rung, criterion_a, criterion_b, layers, undefined, mae, bias,
        correlation, rms_z, coverage, coverage_low, coverage_high, departures, reason``.
        `layers` counts those with both coefficients, and `undefined` the others; `bias` is
        the mean of predicted - measured; `correlation` is Pearson's over the layers; the
        limits of `coverage` are Wilson's at the level of the comparison.

        Where the rung `cross-fitted` is compared, a last row of each pair has the method
        ``measured moments`` and the rung ``bound``: Moran's formula on the moments of the scores
        themselves. It is no prediction, has no interval, and says how well one through plain
        moments can do.
        """
        import pandas as pd

        table = self.table
        bound = table.dropna(subset=["bound"]).drop_duplicates(_PLACE)
        bound = bound.assign(
            method=BOUND[0],
            rung=BOUND[1],
            difference=bound["bound"] - bound["measured"],
            predicted=bound["bound"],
            inside=None,
            departs=None,
            z=np.nan,
        )
        groups = pd.concat([table, bound]).groupby(_MODEL, sort=False)
        return pd.DataFrame(
            [
                dict(zip(_MODEL, key, strict=True)) | _accuracy(rows, self.level)
                for key, rows in groups
            ]
        )

    def departures(self) -> pd.DataFrame:
        """The rows that depart from the prediction, largest |z| first."""
        rows = self.table[self.table["departs"].fillna(False)]
        return rows.sort_values("z", key=abs, ascending=False, ignore_index=True)

    def title(self) -> str:
        """What is compared."""
        names = ", ".join(network.name for network in self.networks)
        layers = len({(row.network, row.layer) for row in self.rows})
        return f"predicted and measured Spearman coefficients in {many(layers, 'layer')} of {names}"


def _accuracy(rows: pd.DataFrame, level: float) -> dict[str, Any]:
    """One row of the summary from the layers of one model and pair."""
    defined = rows.dropna(subset=["difference"])
    predicts = defined["inside"].notna().any()
    inside = int(defined["inside"].sum())
    low, high = wilson_interval(inside, len(defined) if predicts else 0, level)
    correlation, reason = _correlation(defined)
    if predicts and defined["z"].isna().all():
        reason = "; ".join(filter(None, [reason, "no layer has a z"]))
    return {
        "layers": len(defined),
        "undefined": len(rows) - len(defined),
        "mae": defined["difference"].abs().mean(),
        "bias": defined["difference"].mean(),
        "correlation": correlation,
        "rms_z": float(np.sqrt(defined["z"].pow(2).mean())),
        "coverage": inside / len(defined) if predicts else np.nan,
        "coverage_low": low,
        "coverage_high": high,
        "departures": int(defined["departs"].sum()),
        "reason": reason if len(defined) else rows["reason"].iloc[0],
    }


def _correlation(rows: pd.DataFrame) -> tuple[float, str]:
    """Pearson's correlation of predicted and measured, or why there is none."""
    if len(rows) < _FEWEST_LAYERS:
        return np.nan, f"a correlation over layers needs {_FEWEST_LAYERS}, not {len(rows)}"
    for side in ("predicted", "measured"):
        if np.ptp(rows[side]) <= 1e-12:
            return np.nan, f"all layers have the same {side} coefficient: no correlation"
    return float(rows["predicted"].corr(rows["measured"])), ""
