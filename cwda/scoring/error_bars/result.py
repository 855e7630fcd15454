"""`Reliability`: how far another draw of images would give the same scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cwda.answers import Answer, column, common
from cwda.brief import brief

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReliabilityResult", "ReliabilityRow", "warning_of"]


@dataclass(frozen=True)
class ReliabilityRow:
    """How far the scores of one layer by one criterion depend on the images."""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    images: int = column("number of images; 0 for a criterion that needs none")
    reliability: float = column(
        "expected Spearman correlation of the scores with those of another draw of as many "
        "images; 1 for a criterion that needs none"
    )
    low: float = column("lower end of the jackknife interval of `reliability` over the filters")
    high: float = column("upper end of the interval")
    ratio: float = column("share of the filters pruned")
    share_changed: float = column(
        "share of the pruned filters that another draw of as many images would not prune"
    )
    images_needed: float = column(
        "number of images at which `reliability` reaches the target, by Spearman and Brown; "
        "infinite where it is 0 or negative, NaN where that formula does not hold"
    )
    images_for_share: float = column(
        "number of images at which `share_changed` falls to the largest share accepted"
    )
    n_filters: int = common("n_filters")
    reason: str = column("why a number is missing; empty otherwise")

    __repr__ = brief


@dataclass(frozen=True, eq=False, repr=False)
class ReliabilityResult(Answer[ReliabilityRow]):
    """Reliability of scores: one row per layer and criterion.

    Attributes
    ----------
    criteria : tuple of str
        The criteria.
    images : int
        Number of images of the pass.
    target : float
        Reliability that `images_needed` is for.
    most : float
        Share changed that `images_for_share` is for.
    """

    criteria: tuple[str, ...] = field(kw_only=True)
    images: int = field(kw_only=True)
    target: float = field(kw_only=True)
    most: float = field(kw_only=True)

    row = ReliabilityRow

    def summary(self) -> pd.DataFrame:
        """One row per criterion, over the layers in which its reliability is known.

        Columns: ``criterion, layers, undefined, median, minimum, lowest_layer, share_changed``
        (of all pruned filters), ``images_needed`` (median of the layers) and
        ``images_for_share`` (likewise).
        """
        import pandas as pd

        rows = []
        for name, group in self.table.groupby("criterion", sort=False):
            defined = group.dropna(subset=["reliability"])
            known = defined["reliability"]
            changed = defined.dropna(subset=["share_changed"])
            pruned = (changed["ratio"] * changed["n_filters"] + 1e-9) // 1
            rows.append(
                {
                    "criterion": name,
                    "layers": len(known),
                    "undefined": len(group) - len(known),
                    "median": known.median(),
                    "minimum": known.min(),
                    "lowest_layer": defined.loc[known.idxmin(), "layer"] if len(known) else "",
                    "share_changed": (changed["share_changed"] * pruned).sum() / pruned.sum()
                    if pruned.sum()
                    else math.nan,
                    "images_needed": _upper_median(defined["images_needed"]),
                    "images_for_share": _upper_median(defined["images_for_share"]),
                }
            )
        return pd.DataFrame(rows)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each criterion whose median reliability lies below the target."""
        lines = (
            warning_of(row.criterion, row.median, self.images, row.images_needed, self.target)
            for row in self.summary().itertuples()
        )
        return tuple(filter(None, lines))

    def title(self) -> str:
        """The network, the criteria and the number of images."""
        return (
            f"reliability of the scores of {self.networks[0].name} by "
            f"{', '.join(self.criteria)}, {self.images:,} images"
        )


def _upper_median(values: pd.Series[float]) -> float:
    """The middle value, the upper of two: no mean of a number with infinity."""
    ordered = sorted(values.dropna())
    return float(ordered[len(ordered) // 2]) if ordered else math.nan


def warning_of(
    criterion: str, reliability: float, images: int, needed: float, target: float
) -> str:
    """A line that says how many images a criterion needs; empty where it has enough.

    Examples
    --------
    >>> warning_of("taylor_l1", 0.48, 512, 4993, 0.9)
    'taylor_l1 has reliability .48 with 512 images: 5,000 are needed for .90'
    """
    if math.isnan(reliability) or reliability >= target:
        return ""
    says = f"{criterion} has reliability {_short(reliability)} with {images:,} images"
    if not math.isfinite(needed):
        return f"{says}: no number of images can be said to be enough"
    return f"{says}: {_rounded(needed):,} are needed for {_short(target)}"


def _short(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1)


def _rounded(images: float) -> int:
    """Two digits, rounded up: an extrapolation has no more."""
    step: int = 10 ** max(0, math.floor(math.log10(images)) - 1)
    return math.ceil(images / step) * step
