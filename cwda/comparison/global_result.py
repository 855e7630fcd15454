"""`GlobalPruning`: a thin object round the tables of global pruning."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cwda.theory.global_pruning import between_layers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GlobalPruning"]


@dataclass(frozen=True, eq=False)
class GlobalPruning:
    """What one ranking over all layers takes from each: a thin object round two tables.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer, criterion, rung and ratio; docs/tables.md lists the columns.
    overlap : pandas.DataFrame
        A row per pair of criteria, rung and ratio: Jaccard index of the pruned sets.
    network : str
        What was ranked.
    normalise : str or None
        How the scores of a layer were scaled before the ranking.
    """

    table: pd.DataFrame
    overlap: pd.DataFrame
    network: str
    normalise: str | None

    def summary(self) -> pd.DataFrame:
        """A row per criterion, rung and ratio, over the layers.

        Columns: ``layers, error`` (mean absolute error of the predicted shares), ``within``
        (share of layers inside the interval), ``emptied, danger`` (numbers of layers), and
        the share of the variance of the scores between layers, ``between_predicted``,
        ``between_measured``; ``whole_layers_first`` where the measured one exceeds 1/2. The
        last three are left out where scores were normalised, which makes the means equal.
        """
        import pandas as pd

        rows = []
        keys = ["criterion", "rung", "ratio"]
        for key, group in self.table.groupby(keys, sort=False):
            known = group.dropna(subset=["share_predicted", "share_measured"])
            error = (known["share_predicted"] - known["share_measured"]).abs()
            # Half a filter: the interval is that of a number of filters.
            slack = 0.5 / known["n_filters"] + 1e-12
            inside = (known["share_measured"] >= known["share_low"] - slack) & (
                known["share_measured"] <= known["share_high"] + slack
            )
            row = dict(zip(keys, key, strict=True)) | {
                "layers": len(known),
                "error": error.mean(),
                "within": inside.mean(),
                "emptied": int(group["emptied"].sum()),
                "danger": int(group["danger"].sum()),
            }
            rows.append(row if self.normalise else row | _between(group))
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return (
            f"GlobalPruning: {self.network}, {self._scaled}; .table has {len(self.table)} rows, "
            f".overlap {len(self.overlap)}\n{self.summary().round(3).to_string(index=False)}"
        )

    def _repr_html_(self) -> str:
        shown: str = self.summary().round(3).to_html(index=False, border=0)
        return f"<p>Global pruning of {html.escape(self.network)}, {self._scaled}</p>{shown}"

    @property
    def _scaled(self) -> str:
        return f"scores by {self.normalise}" if self.normalise else "raw scores"


def _between(group: pd.DataFrame) -> dict[str, Any]:
    found = {}
    for name, suffix in (("between_predicted", ""), ("between_measured", "_measured")):
        rows = group.dropna(subset=[f"mean{suffix}", f"sd{suffix}"])
        found[name] = (
            between_layers(rows[f"mean{suffix}"], rows[f"sd{suffix}"], rows["n_filters"])
            if len(rows)
            else float("nan")
        )
    return {**found, "whole_layers_first": found["between_measured"] > 0.5}
