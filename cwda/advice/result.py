"""`Advice`: what to prune by, in sentences, and the tables that say why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from cwda.advice.clusters import SAME
from cwda.answers import Answer, aside, column, common, rows_field, table_of
from cwda.formatting import listed

if TYPE_CHECKING:
    import pandas as pd

    from cwda.advice.regret import Regret
    from cwda.experiment import ExperimentResult

__all__ = [
    "APART",
    "CHOOSE",
    "NO_RANKING",
    "OTHER",
    "RANK",
    "SHORT",
    "UNJUDGED",
    "UNRANKED",
    "Advice",
    "Cluster",
    "GlobalScale",
    "LayerAdvice",
    "PairAgreement",
    "Sentence",
    "ranks",
]

#: What is said of a layer.
RANK, CHOOSE, UNJUDGED = "rank", "criteria differ", "not judged"
APART, OTHER, NO_RANKING = "those apart", "another criterion", "no ranking"

#: Topics: that of the sentences that the advice begins with, and of the layers without a ranking.
SHORT, UNRANKED = "in short", "no ranking"


@dataclass(frozen=True)
class Sentence:
    """A piece of advice in plain words."""

    network: str = common("network")
    topic: str = column("what it is about")
    text: str = column("the advice, one sentence")


@dataclass(frozen=True)
class LayerAdvice:
    """What to do in one layer."""

    network: str = common("network")
    layer: str = common("layer")
    advice: str = column(
        f"`{RANK}` by the criterion advised; `{CHOOSE}`: criteria of one cluster prune other "
        f"filters here, by more than chance; `{NO_RANKING}`: no criterion can tell its filters "
        "apart, and random should serve as well; "
        f"`{OTHER}`: the criterion advised cannot, those in `discriminate` can; "
        f"`{APART}`: it tells those that lie apart below all others from the rest, and no more; "
        f"`{UNJUDGED}`: nothing is known of the criteria here"
    )
    agreement: float = column(
        "mean kappa of the pairs within the cluster of the criterion advised", default=math.nan
    )
    lowest: float = column("lowest kappa of these pairs", default=math.nan)
    lowest_pair: str = column("the pair with the lowest kappa", default="")
    agreement_all: float = column("mean kappa of all pairs of criteria", default=math.nan)
    discriminate: str = column(
        "criteria that tell filters apart here, at least weakly, separated by commas", default=""
    )
    cannot: str = column("criteria that do not, separated by commas", default="")
    swap: float = column(
        "chance that a pruned and a kept filter swap in a fresh draw of filters or images, "
        "whichever is larger, under the criterion advised",
        default=math.nan,
    )
    apart: int = column(
        "filters whose scores lie apart below all others, under the criterion advised", default=0
    )
    near_dead: int = column(
        "filters whose norm is below 5 % of the median norm of the live filters", default=0
    )
    pruned: int = column("number of filters pruned", kw_only=True)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    reason: str = column("why a number is missing; empty otherwise", kw_only=True)


def ranks(layers: Sequence[LayerAdvice]) -> bool:
    """Whether any criterion tells filters apart in any layer, or nothing is known of them."""
    told = {row.advice for row in layers} - {UNJUDGED}
    return told != {NO_RANKING}


@dataclass(frozen=True)
class Cluster:
    """Criteria that stand for one another at this ratio."""

    network: str = common("network")
    cluster: int = column(
        "number of the cluster, from 1; 0 for criteria that could not be placed, one row each"
    )
    criteria: str = column("its criteria, separated by commas")
    stand_in: str = column("the cheapest of them; of several, the one that agrees most with all")
    cost: str = column(
        "the dearest thing that the stand-in needs, from cheap to dear: weights of one `filter`, "
        "of the `layer`, `BatchNorm`, `activations`, `gradients`, `more`"
    )
    advised: bool = column("whether this is the cluster to prune by")
    agreement: float = column("lowest kappa of its pairs, without noise of the images")
    agreement_low: float = column("lower limit of that kappa")
    agreement_high: float = column("upper limit of that kappa")
    discriminates: int = column("layers in which the stand-in tells filters apart, at least weakly")
    layers: int = column("layers in which that was judged")
    changed: float = column(
        "share of the filters pruned by the stand-in that as many other images would exchange"
    )
    images_needed: float = column(
        "number of images at which that share falls to .1 in the median layer; 0 without images"
    )
    validity: float = column(
        "pooled rank correlation of the stand-in with the loss when filters are removed, without "
        "the noise of the images; undefined without `validity=`"
    )
    validity_low: float = column("lower limit of `validity`")
    validity_high: float = column("upper limit of `validity`")
    reason: str = column("why a number is missing, or a criterion was not placed; empty otherwise")
    members: tuple[str, ...] = aside("names of its criteria")


@dataclass(frozen=True)
class PairAgreement:
    """How far two criteria prune the same filters, over all layers."""

    network: str = common("network")
    criterion_a: str = common("criterion_a")
    criterion_b: str = common("criterion_b")
    kappa: float = column(
        "agreement of the pruned sets beyond chance, 1 for equal sets, as measured"
    )
    kappa_low: float = column("lower limit of `kappa`")
    kappa_high: float = column("upper limit of `kappa`")
    latent_reliability_a: float = column(
        "correlation of the latent scores of the first criterion with those of another draw of as "
        "many images; 1 without images. `cwda.reliability` is about the whole ranking"
    )
    latent_reliability_b: float = column("the same of the second criterion")
    agreement: float = column("`kappa` without the noise of the images, at most 1")
    agreement_low: float = column("lower limit of `agreement`")
    agreement_high: float = column("upper limit of `agreement`")
    over: bool = column("whether the correction exceeded 1")
    same: str = column(
        "whether they stand for one another: `yes` or `no` where the interval lies on one side of "
        "the threshold, else `open`"
    )
    layers: int = column("layers in which both rank")
    reason: str = column("why a number is missing; empty otherwise")


@dataclass(frozen=True)
class GlobalScale:
    """One ranking over all layers, by one criterion on one scale."""

    network: str = common("network")
    normalise: str = column("`none`, or how scores are scaled by layer: `mean`, `zscore`")
    criterion: str = common("criterion")
    emptied: int = column("layers that lose all filters")
    between: float = column(
        "share of the variance of the scores that lies between layers; above 1/2 whole layers go "
        "first"
    )
    agreement: float = column(
        "lowest kappa, over the network, with another criterion of its cluster"
    )
    agreement_all: float = column("lowest kappa with any other criterion")
    advised: bool = column("whether this is the scale to rank by")


@dataclass(frozen=True, eq=False, repr=False)
class Advice(Answer[LayerAdvice]):
    """What to prune by: sentences, one row per layer, clusters, pairs and scales.

    `level` is that of the intervals of the agreements.

    Attributes
    ----------
    sentences : tuple of Sentence
        The advice in words, what `short` has first.
    clusters : tuple of Cluster
        Criteria that stand for one another; `.cluster_table` has them.
    pairs : tuple of PairAgreement
        Agreement of every pair; `.pair_table` has them.
    scales : tuple of GlobalScale
        What a global ranking takes on each scale; `.scale_table` has them.
    criterion : str
        The criterion advised; empty if there is none.
    normalise : str or None
        How to scale scores for a global ranking.
    criteria : tuple of str
        The criteria asked for.
    ratio : float
        Share of the filters pruned.
    same : float
        The kappa from which criteria stand for one another.
    images : int
        Number of images that criteria from data were scored on.
    """

    row: ClassVar[type] = LayerAdvice
    sentences: tuple[Sentence, ...] = rows_field(Sentence, "the advice in words")
    clusters: tuple[Cluster, ...] = rows_field(Cluster, "criteria that stand for one another")
    pairs: tuple[PairAgreement, ...] = rows_field(
        PairAgreement, "agreement of every pair of criteria"
    )
    scales: tuple[GlobalScale, ...] = rows_field(
        GlobalScale, "what a global ranking takes on each scale"
    )
    criterion: str = ""
    normalise: str | None = None
    criteria: tuple[str, ...] = ()
    ratio: float = math.nan
    same: float = SAME
    images: int = 0

    @property
    def short(self) -> tuple[str, ...]:
        """The advice in one to three sentences: what decides on most filters comes first."""
        return tuple(each.text for each in self.sentences if each.topic == SHORT)

    @property
    def ranks(self) -> bool:
        """Whether any ranking tells filters apart in any layer that could be judged."""
        return ranks(self.rows)

    @cached_property
    def cluster_table(self) -> pd.DataFrame:
        """One row per cluster, and per criterion that was not placed."""
        return table_of(self.clusters, Cluster)

    @cached_property
    def pair_table(self) -> pd.DataFrame:
        """One row per pair of criteria."""
        return table_of(self.pairs, PairAgreement)

    @cached_property
    def scale_table(self) -> pd.DataFrame:
        """One row per scale and criterion."""
        return table_of(self.scales, GlobalScale)

    @property
    def cut_off(self) -> str:
        """What is said of pairs whose kappa is 1 at most; empty where there are none."""
        names = [f"{row.criterion_a} with {row.criterion_b}" for row in self.pairs if row.over]
        if not names:
            return ""
        return (
            f"kappa cut off at 1, which it exceeds without the noise of the images: {listed(names)}"
        )

    def summary(self) -> pd.DataFrame:
        """One row per piece of advice: its topic and its sentence."""
        return table_of(self.sentences, Sentence)[["topic", "text"]]

    def title(self) -> str:
        """The network and the ratio."""
        return f"what to prune {self.networks[0].name} by, at a ratio of {self.ratio:g}"

    def __repr__(self) -> str:
        lines = [f"  {each.topic}: {each.text}" for each in self.sentences]
        return "\n".join([f"Advice: {self.title()}; .table has {len(self)} rows", *lines])

    def regret(self, experiment: ExperimentResult) -> Regret:
        """What following the advice cost, in accuracy that an experiment measured.

        Parameters
        ----------
        experiment : ExperimentResult
            Of `cwda.experiment.run_experiment`, with the criteria of this advice at its ratio;
            `random` among them is the zero.

        Returns
        -------
        Regret

        Raises
        ------
        CwdaError
            If the experiment did not prune at this ratio, or not by the criterion advised.
        """
        from cwda.advice.regret import regret

        return regret(self, experiment)
