"""`GlobalPruning`: what one ranking over all layers takes from each, predicted and measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from cwda.answers import Answer, column, common, rows_field, table_of
from cwda.formatting import percent
from cwda.scoring.error_bars.measure import MOST_CHANGED
from cwda.theory.rungs import FILTER_LADDER, rung_meaning
from cwda.theory.shares import DANGER, between_layers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CriteriaOverlap", "GlobalPruning", "LayerShare"]


@dataclass(frozen=True)
class LayerShare:
    """What one layer loses at one ratio, under one criterion and rung."""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    rung: str = column(rung_meaning(FILTER_LADDER))
    ratio: float = column("share of all filters pruned")
    mean: float = column(
        "mean of the scores as predicted, before any normalisation", default=math.nan
    )
    sd: float = column("standard deviation of the scores as predicted", default=math.nan)
    mean_measured: float = column("mean of the scores", kw_only=True)
    sd_measured: float = column("standard deviation of the scores", kw_only=True)
    share_predicted: float = column(
        "share of its filters that the layer loses, as predicted", default=math.nan
    )
    share_low: float = column(
        "lower limit of the interval for this number of filters, a share of whole filters",
        default=math.nan,
    )
    share_high: float = column("upper limit of the interval", default=math.nan)
    share_measured: float = column(
        '`cwda.pruning.select(..., strategy="global")` takes this share', default=math.nan
    )
    share_changed: float = column(
        "of all filters that the criterion prunes at this ratio, the share that another draw of "
        "as many images would spare; undefined if it needs none",
        default=math.nan,
    )
    emptied: bool | None = column("whether it takes all filters of the layer", default=None)
    emptied_predicted: float = column("probability that all filters go", default=math.nan)
    danger: bool | None = column(f"whether that is {DANGER:g} or more", default=None)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    reason: str = column("why a number is missing; empty otherwise", kw_only=True)


@dataclass(frozen=True)
class CriteriaOverlap:
    """How far two criteria prune the same filters of the network."""

    network: str = common("network")
    criterion_a: str = common("criterion_a")
    criterion_b: str = common("criterion_b")
    rung: str = column(rung_meaning(FILTER_LADDER))
    ratio: float = column("share of all filters pruned")
    overlap_predicted: float = column("Jaccard index of the two sets, as predicted")
    overlap_measured: float = column("Jaccard index of the two sets; NaN where none is pruned")
    reason: str = column("why a number is missing; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class GlobalPruning(Answer[LayerShare]):
    """What one ranking over all layers takes: one row per layer, criterion, rung and ratio.

    `level` is that of the intervals of the shares.

    Attributes
    ----------
    overlaps : tuple of CriteriaOverlap
        One record per pair of criteria, rung and ratio; `.overlap_table` has them.
    normalise : str or None
        How the scores of a layer were scaled before the ranking.
    images : int
        Number of images on which criteria that need some were scored.
    """

    row: ClassVar[type] = LayerShare
    overlaps: tuple[CriteriaOverlap, ...] = rows_field(
        CriteriaOverlap, "how far two criteria prune the same filters of the network"
    )
    normalise: str | None = None
    images: int = 0

    @cached_property
    def overlap_table(self) -> pd.DataFrame:
        """One row per pair of criteria, rung and ratio: Jaccard index of the pruned sets."""
        return table_of(self.overlaps, CriteriaOverlap)

    def summary(self) -> pd.DataFrame:
        """One row per criterion, rung and ratio, over the layers.

        Columns: ``layers, error`` (mean absolute error of the predicted shares), ``within``
        (share of layers inside the interval), ``emptied, danger`` (numbers of layers),
        ``share_changed`` (of all filters pruned, those that another draw of images would spare),
        and
        the share of the variance of the scores between layers, ``between_predicted``,
        ``between_measured``; ``whole_layers_first`` where the measured one exceeds 1/2. The
        last three are left out where scores were normalised, which makes the means equal.
        """
        import pandas as pd

        rows = []
        keys = ["criterion", "rung", "ratio"]
        for key, group in self.table.groupby(keys, sort=False):
            defined = group.dropna(subset=["share_predicted", "share_measured"])
            error = (defined["share_predicted"] - defined["share_measured"]).abs()
            inside = defined["share_measured"].between(defined["share_low"], defined["share_high"])
            row = dict(zip(keys, key, strict=True)) | {
                "layers": len(defined),
                "error": error.mean(),
                "within": inside.mean(),
                "emptied": int(group["emptied"].sum()),
                "danger": int(group["danger"].sum()),
                "share_changed": group["share_changed"].max(),
            }
            rows.append(row if self.normalise else row | _between(group))
        return pd.DataFrame(rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each criterion whose selection depends on the draw of the images."""
        lines = []
        for name, group in self.table.groupby("criterion", sort=False):
            largest = group["share_changed"].max()
            if largest > MOST_CHANGED:
                ratio = group.loc[group["share_changed"].idxmax(), "ratio"]
                lines.append(
                    f"{name} on {self.images:,} images: another draw of as many would spare "
                    f"{percent(largest)} of the filters that are pruned at {percent(ratio)}"
                )
        return tuple(lines)

    def title(self) -> str:
        """What is ranked, and by which scores."""
        scores = f"scores by {self.normalise}" if self.normalise else "raw scores"
        return f"one ranking over the layers of {self.networks[0].name}, {scores}"


def _between(group: pd.DataFrame) -> dict[str, Any]:
    shares = {}
    for name, suffix in (("between_predicted", ""), ("between_measured", "_measured")):
        rows = group.dropna(subset=[f"mean{suffix}", f"sd{suffix}"])
        shares[name] = (
            between_layers(rows[f"mean{suffix}"], rows[f"sd{suffix}"], rows["n_filters"])
            if len(rows)
            else float("nan")
        )
    return {**shares, "whole_layers_first": shares["between_measured"] > 0.5}
