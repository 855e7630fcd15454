"""`Contrast`: one row per condition in two networks, and what was found in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column, common, rows_field, table_of
from cwda.choices import Contrasted, Scale, Verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Contrast", "ContrastRow", "LayerPair"]

NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class ContrastRow:
    """One condition in two networks: a row of `cwda.contrast`."""

    network_a: str = column("Name of the first network.")
    network_b: str = column("Name of the second network.")
    condition: str = column("Name of the condition.")
    scale: Scale = column("`raw` for weights as stored, `unit` for the filters' directions.")
    paired: bool = column(
        "Whether the effects are those of the same layers in both: paired by their names, and the "
        "rest by their order where all shapes agree."
    )
    layers_a: int = column("Number of layers of the first network that the effect is over.")
    layers_b: int = column("The same of the second.")
    weights_a: float = column("Share of the first network's weights that lies in these layers.")
    weights_b: float = column("The same of the second.")
    effect_a: float = column("Effect in the first network, over the weights.", default=NAN)
    effect_b: float = column("Effect in the second network.", default=NAN)
    difference: float = column("Second less first.", default=NAN)
    difference_low: float = column(
        "Lower limit of its interval. All intervals of an answer hold together at its level "
        "(Bonferroni).",
        default=NAN,
    )
    difference_high: float = column("Upper limit.", default=NAN)
    margin: float = column(
        "Largest difference that counts as negligible: half of the condition's margin by default."
    )
    correlation: float = column(
        "Correlation of the errors of both effects, from the scatter of the layers' differences: "
        "1 for the same weights; 0 where networks are not paired, their weights are not related "
        "(a median cosine of .3 or less), or fewer than five layers have changed.",
        default=NAN,
    )
    verdict: Contrasted = column(
        "`same` if the interval lies within the margin on both sides of 0, else `differs` if it "
        "excludes 0, else `unsettled`; `not applicable` if either network has no effect.",
        default="not applicable",
    )


@dataclass(frozen=True, kw_only=True)
class LayerPair:
    """One condition in a layer that two networks share: a row of `Contrast.layer_table`."""

    layer: str = common("layer")
    layer_b: str = column("Its name in the second network.")
    by_name: bool = column(
        "Whether the names agree, but for a prefix of all; else the layers are paired by order."
    )
    condition: str = column("Name of the condition.")
    kept: float = column(
        "Cosine between the weights of both networks: 1 for the same up to a factor, about 0 for "
        "networks trained apart."
    )
    effect_a: float = column("Effect in the first network.")
    effect_b: float = column("Effect in the second network.")
    verdict_a: Verdict = column("Verdict in the first network, at the level of these intervals.")
    verdict_b: Verdict = column("Verdict in the second network.")
    percentile_a: float = column(
        "Share of the comparable layers of a reference whose effect is smaller than in the first "
        "network, networks counted alike; NaN without a reference.",
        default=NAN,
    )
    percentile_b: float = column("The same of the second network.", default=NAN)
    n_weights: int = common("n_weights")


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(Answer[ContrastRow]):
    """What differs between two networks.

    Attributes
    ----------
    rows : tuple of ContrastRow
        One row per condition.
    networks : tuple of Network
        The two networks.
    level : float
        Confidence with which all intervals hold together.
    sentences : tuple of str
        What was found, in words.

    Examples
    --------
    >>> import cwda
    >>> found = cwda.contrast("resnet20-cifar10:init", "resnet20-cifar10", ["mean", "epsilon"])
    >>> found.table["verdict"].tolist()
    ['differs', 'differs']
    """

    row: ClassVar[type] = ContrastRow
    layers: tuple[LayerPair, ...] = rows_field(
        LayerPair, "the layers that both networks share, one row per layer and condition"
    )
    sentences: tuple[str, ...] = ()

    def title(self) -> str:
        """What was found, in words."""
        return " ".join(self.sentences)

    def summary(self) -> pd.DataFrame:
        """Both effects, the difference with its interval, and the verdict."""
        shown = ["condition", "effect_a", "effect_b", "difference"]
        return self.table[[*shown, "difference_low", "difference_high", "margin", "verdict"]]

    @property
    def layer_table(self) -> pd.DataFrame:
        """The layers that both networks share; empty if they are not paired."""
        return table_of(self.layers, LayerPair)
