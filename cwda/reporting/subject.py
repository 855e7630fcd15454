"""All that a report says of one network is computed here, once, when a chapter first asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cwda.answers import table_of
from cwda.conditions.results import ConditionResult
from cwda.layers import Network
from cwda.reporting.blocks import Block, Heading

if TYPE_CHECKING:
    import pandas as pd

    from cwda.comparison import Applicability, Comparison, GlobalPruning
    from cwda.scoring import SimilarityResult

__all__ = ["RATIO", "RUNG", "Subject", "sections"]

#: The rung that global pruning is predicted by: CWDA with filters of unequal scale.
RUNG = "scale"

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
        Its conditions, a record per layer and condition.
    device : str
        Where to compute.
    """

    network: Network
    results: Sequence[ConditionResult]
    device: str = "auto"

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
        """Measured rank correlations of the norm-based criteria."""
        from cwda.scoring import similarity

        return similarity(self.network, device=self.device)

    @cached_property
    def comparison(self) -> Comparison:
        """The same compared with the predicted ones, in closed form."""
        from cwda.comparison import compare
        from cwda.theory import predict

        return compare(self.similarity, predict(self.network, device=self.device))

    @cached_property
    def applicability(self) -> Applicability:
        """Dispersion of the scores, measured and predicted."""
        from cwda.comparison import applicability

        return applicability(self.network, ratio=RATIO, device=self.device)

    @cached_property
    def global_pruning(self) -> GlobalPruning:
        """Shares of filters that layers lose to one ranking of the network."""
        from cwda.comparison import global_pruning

        return global_pruning(self.network, rungs=RUNG, device=self.device)


def sections(
    subjects: Sequence[Subject], blocks_of: Callable[[Subject], Sequence[Block]]
) -> list[Block]:
    """The same blocks for each network, under its name where there are several."""
    blocks: list[Block] = []
    for subject in subjects:
        if len(subjects) > 1:
            blocks.append(Heading(subject.network.name, 2))
        blocks += blocks_of(subject)
    return blocks
