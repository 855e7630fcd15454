"""All that a report says about one network, computed once, when a chapter first asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cwda.answers import table_of
from cwda.conditions.directions import directions_of
from cwda.conditions.results import ConditionResult
from cwda.conditions.whole.result import NetworkResult, network_result
from cwda.layers import ConvLayer, Network
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.registry import Criterion

if TYPE_CHECKING:
    import pandas as pd

    from cwda.advice import Advice
    from cwda.comparison import Applicability, Comparison, GlobalPruning
    from cwda.scoring import Collected, ReliabilityResult, SimilarityResult
    from cwda.textbook_tests import TextbookResult
    from cwda.typing import Device

__all__ = ["RATIO", "Subject"]

#: The pruning ratio at which the report asks what a criterion can tell apart.
RATIO = 0.5


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and what is found in it.

    Attributes
    ----------
    network : Network
        The network.
    results : sequence of ConditionResult
        Its conditions, one record per layer and condition.
    device : str or torch.device
        Where to compute.
    level : float
        Confidence of the intervals.
    criteria : tuple of str or Criterion
        The criteria that are compared and ranked by.
    collected : Collected or None
        What they need beyond the weights.
    """

    network: Network
    results: Sequence[ConditionResult]
    device: Device = "auto"
    level: float = 0.90
    criteria: tuple[str | Criterion, ...] = NORM_BASED
    collected: Collected | None = None

    @cached_property
    def whole(self) -> NetworkResult:
        """The network as a whole: an effect and a verdict per condition, and a sentence."""
        own = [row for row in self.results if row.network == self.network.name]
        return network_result(own, [self.network], self.level)

    @property
    def has_weights(self) -> bool:
        """Whether the weights are there; a saved answer has their shapes only."""
        return not any(layer.weight.is_meta for layer in self.network)

    def judged(self, name: str) -> ConvLayer:
        """A layer as the conditions saw it: with filters of one size at the scale "unit"."""
        layer = self.network[name]
        if any(row.scale == "unit" for row in self.results):
            layer, _ = directions_of(layer)
        return layer

    def condition(self, name: str) -> list[ConditionResult]:
        """The results of one condition, in the order of the layers."""
        return [row for row in self.results if row.condition == name]

    @property
    def conditions(self) -> list[str]:
        """The conditions that were tested."""
        return list(dict.fromkeys(row.condition for row in self.results))

    @cached_property
    def table(self) -> pd.DataFrame:
        """The results as a table."""
        return table_of(tuple(self.results), ConditionResult)

    @cached_property
    def similarity(self) -> SimilarityResult:
        """Measured rank correlations of the criteria."""
        from cwda.scoring import similarity

        return similarity(self.network, self.criteria, data=self.collected, device=self.device)

    @cached_property
    def reliability(self) -> ReliabilityResult:
        """How far the scores depend on the images."""
        from cwda.scoring import reliability

        return reliability(
            self.network, self.criteria, ratio=RATIO, data=self.collected, device=self.device
        )

    @cached_property
    def comparison(self) -> Comparison:
        """Those of the norm-based criteria compared with the predicted ones, in closed form."""
        from cwda.comparison import compare
        from cwda.scoring import similarity
        from cwda.theory import predict

        norms = self.similarity
        if norms.criteria != NORM_BASED:
            norms = similarity(self.network, NORM_BASED, device=self.device)
        return compare(norms, predict(self.network, device=self.device))

    @cached_property
    def applicability(self) -> Applicability:
        """Dispersion of the scores, measured and predicted."""
        from cwda.comparison import applicability

        return applicability(
            self.network, self.criteria, ratio=RATIO, data=self.collected, device=self.device
        )

    @cached_property
    def global_pruning(self) -> GlobalPruning:
        """Shares of filters that layers lose to one ranking of the network."""
        from cwda.comparison import global_pruning
        from cwda.theory import SCALE

        return global_pruning(
            self.network, self.criteria, rungs=SCALE, data=self.collected, device=self.device
        )

    @cached_property
    def advice(self) -> Advice:
        """What to prune by."""
        from cwda.advice import advise

        return advise(
            self.network, self.criteria, ratio=RATIO, data=self.collected, device=self.device
        )

    @cached_property
    def textbook(self) -> TextbookResult:
        """Textbook tests by pingouin, statsmodels and scipy."""
        from cwda.textbook_tests import textbook

        return textbook(self.network)
