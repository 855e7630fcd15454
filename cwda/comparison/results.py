"""`Comparison`: a thin object round the table of predicted beside measured coefficients."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cwda.numerics.proportions import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Comparison"]

#: Columns of the table.
COLUMNS = (
    *("network", "layer", "criterion_a", "criterion_b", "method", "rung"),
    *("measured", "measured_low", "measured_high", "predicted", "low", "high"),
    *("difference", "inside", "z", "pvalue", "pvalue_holm", "departs"),
    *("n_filters", "dim", "reason"),
)

_MODEL = ["method", "rung", "criterion_a", "criterion_b"]
# Two layers correlate perfectly whatever they show.
_FEWEST_LAYERS = 3


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and measured rank correlations, layer by layer.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per network, layer, pair of criteria, method and rung; `COLUMNS` are described
        in docs/tables.md. What is undefined is NaN or NA, and `reason` says why.
    level : float
        Level of the prediction intervals; 1 - level is that of the tests for departure.
    """

    table: pd.DataFrame
    level: float

    def __len__(self) -> int:
        return len(self.table)

    def summary(self) -> pd.DataFrame:
        """How well each rung predicts each pair of criteria, over all layers.

        Columns: ``method, rung, criterion_a, criterion_b, layers, undefined, mae, bias,
        correlation, rms_z, coverage, coverage_low, coverage_high, departures, reason``.
        `layers` counts those with both coefficients, and `undefined` the others; `bias` is
        the mean of predicted - measured; `correlation` is Pearson's over the layers; the
        limits of `coverage` are Wilson's at 95 %.
        """
        import pandas as pd

        groups = self.table.groupby(_MODEL, sort=False)
        return pd.DataFrame(
            [dict(zip(_MODEL, key, strict=True)) | _accuracy(rows) for key, rows in groups]
        )

    def best_rungs(self) -> pd.DataFrame:
        """The row of `summary` with the smallest mean absolute error, for each pair."""
        known = self.summary().dropna(subset=["mae"])
        best = known.groupby(_MODEL[2:], sort=False)["mae"].idxmin()
        return known.loc[best].reset_index(drop=True)

    def departures(self) -> pd.DataFrame:
        """The rows that depart from the prediction, largest |z| first."""
        rows = self.table[self.table["departs"].fillna(False)]
        return rows.sort_values("z", key=abs, ascending=False, ignore_index=True)

    def __repr__(self) -> str:
        return f"{self._title()}\n{self._shown().to_string(index=False)}"

    def _repr_html_(self) -> str:
        shown: str = self._shown().to_html(index=False, border=0)
        return f"<p>{html.escape(self._title())}</p>{shown}"

    def _title(self) -> str:
        networks = self.table["network"].drop_duplicates()
        layers = len(self.table[["network", "layer"]].drop_duplicates())
        return f"Comparison: {', '.join(networks)}, {layers} layers; .table has {len(self)} rows"

    def _shown(self) -> pd.DataFrame:
        shown = self.summary().drop(columns=["coverage_low", "coverage_high"])
        shown["mae"], shown["bias"] = shown["mae"].round(4), shown["bias"].round(4)
        return shown.round(2 if shown.empty else {"correlation": 2, "rms_z": 2, "coverage": 3})


def _accuracy(rows: pd.DataFrame) -> dict[str, Any]:
    """One row of the summary from the layers of one model and pair."""
    known = rows.dropna(subset=["difference"])
    inside = int(known["inside"].sum())
    low, high = wilson_interval(inside, len(known))
    correlation, reason = _correlation(known)
    if len(known) and known["z"].isna().all():
        reason = "; ".join(filter(None, [reason, "no layer has a z"]))
    return {
        "layers": len(known),
        "undefined": len(rows) - len(known),
        "mae": known["difference"].abs().mean(),
        "bias": known["difference"].mean(),
        "correlation": correlation,
        "rms_z": float(np.sqrt(known["z"].pow(2).mean())),
        "coverage": inside / len(known) if len(known) else np.nan,
        "coverage_low": low,
        "coverage_high": high,
        "departures": int(known["departs"].sum()),
        "reason": reason if len(known) else rows["reason"].iloc[0],
    }


def _correlation(known: pd.DataFrame) -> tuple[float, str]:
    """Pearson's correlation of predicted and measured, or why there is none."""
    if len(known) < _FEWEST_LAYERS:
        return np.nan, f"a correlation over layers needs {_FEWEST_LAYERS}, not {len(known)}"
    for side in ("predicted", "measured"):
        if np.ptp(known[side]) <= 1e-12:
            return np.nan, f"all layers have the same {side} coefficient: no correlation"
    return float(known["predicted"].corr(known["measured"])), ""
