"""`Validity`: criteria compared with the oracle, layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cwda.answers import Answer, column, common
from cwda.comparison.validation.oracle import disattenuated_limits
from cwda.formatting import many
from cwda.scoring.catalogue import RANDOM

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RELIABLE", "VALID", "VERDICTS", "LayerValidity", "Validity"]

#: A criterion is called valid if its interval lies above: half of the variance of the ranks.
VALID = 0.7
#: Below it, the oracle ranks the filters by noise more than by their loss.
RELIABLE = 0.5

#: What is said of a criterion in a layer.
VERDICTS = (
    "valid",
    "inconclusive",
    "weak",
    "not better than random",
    "oracle too noisy",
    "not applicable",
)


@dataclass(frozen=True)
class LayerValidity:
    """One criterion in one layer, compared with the loss when filters are removed."""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    spearman: float = column(
        "Spearman's coefficient of the criterion and the oracle, each from the other half of the "
        "images; mean of both ways round; of `random` the mean",
        default=math.nan,
    )
    spearman_low: float = column(
        "lower limit of its interval over filters (jackknife); of `random` as `random_low`",
        default=math.nan,
    )
    spearman_high: float = column(
        "upper limit of its interval over filters; of `random` as `random_high`", default=math.nan
    )
    half_reliability: float = column(
        "Spearman's coefficient of the criterion with itself on the other half of the images; 1 "
        "if it needs none",
        default=math.nan,
    )
    oracle_half_reliability: float = column(
        "Spearman's coefficient of the oracle with itself on the other half of the images, mean "
        "of 20 random halves",
        default=math.nan,
    )
    disattenuated: float = column(
        "`spearman / sqrt(half_reliability * oracle_half_reliability)`: what would be left "
        "without noise of the images; it may exceed 1",
        default=math.nan,
    )
    disattenuated_low: float = column(
        "lower limit of its interval over filters (jackknife)", default=math.nan
    )
    disattenuated_high: float = column("upper limit of its interval over filters", default=math.nan)
    random_low: float = column(
        "random rankings have a coefficient between this and `random_high`, with probability "
        "`level`",
        default=math.nan,
    )
    random_high: float = column("upper end of that band", default=math.nan)
    pvalue: float = column(
        "probability that a random ranking has a coefficient as large (one-sided)",
        default=math.nan,
    )
    ratio: float = column("share of the filters removed together", kw_only=True)
    increase: float = column(
        "mean increase of the loss without the filters that the criterion ranks lowest, chosen on "
        "the other half of the images; of `random` the mean of several choices",
        default=math.nan,
    )
    increase_oracle: float = column(
        "the same without those that the oracle ranks lowest, chosen on the other half",
        default=math.nan,
    )
    increase_random: float = column("the same without random filters", default=math.nan)
    regret: float = column(
        "`(increase - increase_oracle) / (increase_random - increase_oracle)`: 0 as good as the "
        "oracle, 1 as random",
        default=math.nan,
    )
    regret_low: float = column(
        "lower limit of its interval over images (bootstrap)", default=math.nan
    )
    regret_high: float = column("upper limit of its interval over images", default=math.nan)
    verdict: str = column(", ".join(f"`{verdict}`" for verdict in VERDICTS), kw_only=True)
    statement: str = column("the verdict as a sentence", kw_only=True)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    images: int = column("number of images, both halves together", kw_only=True)
    method: str = column("how it was computed", kw_only=True)
    reason: str = column("why a number is missing; empty otherwise", kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Validity(Answer[LayerValidity]):
    """Whether rankings are right: one row per layer and criterion, `random` among them.

    Attributes
    ----------
    criteria : tuple of str
        The criteria, then `random`.
    ratio : float
        Share of the filters removed together.
    """

    criteria: tuple[str, ...] = field(kw_only=True)
    ratio: float = field(kw_only=True)

    row: ClassVar[type] = LayerValidity
    unprinted: ClassVar[tuple[str, ...]] = ("undefined", "random_low", "random_high")

    def summary(self) -> pd.DataFrame:
        """One row per criterion, over the layers in which its coefficient is defined.

        Columns: ``criterion, layers, undefined``; the medians of ``spearman``,
        ``half_reliability``, ``oracle_half_reliability``, ``random_low``, ``random_high`` and
        ``regret``; ``pooled``, with ``pooled_low`` and ``pooled_high``: the disattenuated
        coefficient of all layers together and its interval over layers
        (`cwda.comparison.validation.oracle`); and how many layers have which verdict.
        """
        import pandas as pd

        groups = self.table.groupby("criterion", sort=False)
        return pd.DataFrame([_summary(name, group, self.level) for name, group in groups])

    def title(self) -> str:
        """What is compared, on how many images."""
        images = max((row.images for row in self.rows), default=0)
        return (
            f"rank correlation of criteria with the loss when filters of {self.networks[0].name} "
            f"are removed, on {many(images, 'image')}"
        )


def _summary(criterion: Any, rows: pd.DataFrame, level: float) -> dict[str, Any]:
    defined = rows.dropna(subset=["spearman"])
    medians = ("spearman", "half_reliability", "oracle_half_reliability")
    pooled = (math.nan,) * 3
    if criterion != RANDOM:
        spearman, reliability, oracle = (defined[name].to_numpy() for name in medians)
        pooled = disattenuated_limits(spearman, reliability, oracle, level)
    verdicts = rows["verdict"].value_counts()
    return {
        "criterion": criterion,
        "layers": len(defined),
        "undefined": len(rows) - len(defined),
        **{name: defined[name].median() for name in medians},
        **dict(zip(("pooled", "pooled_low", "pooled_high"), pooled, strict=True)),
        **{name: defined[name].median() for name in ("random_low", "random_high", "regret")},
        **{name.replace(" ", "_"): int(verdicts.get(name, 0)) for name in VERDICTS},
    }
