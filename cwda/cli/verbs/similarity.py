"""`cwda similarity`: how alike the pruning criteria rank the filters of each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import Running, criteria_option, level_option, running_options
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from cwda.layers import Network
    from cwda.scoring import SimilarityResult

__all__ = ["similarity"]


@analysis(
    "similarity",
    "How alike criteria rank the filters.",
    examples="""
        cwda similarity
        cwda similarity resnet18 mine.pth --criteria l1,l2 --output pairs.csv
        cwda similarity --criteria l1,bn_gamma,taylor_l1 --data cifar10.npz
    """,
)
@criteria_option("Criteria to compare; at least two.")
@level_option(0.95)
@running_options
def similarity(
    sources: Sources, criteria: list[str], level: float, running: Running, device: str
) -> Steps:
    """Measure how alike pruning criteria rank the filters of each layer.

    Spearman's rank correlation of the scores of every pair of criteria. The table has Kendall's
    tau-b, the overlap of the pruned filters, and intervals as well. Criteria that need
    BatchNorm or images run the network itself, where its architecture is known.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.show_similarity import show_similarity

    evidence = Evidence.of(resolve_criteria(criteria, fewest=2), sources, running, device)

    def measure(network: Network) -> SimilarityResult:
        network, statistics = evidence.collect(network)
        return cwda.similarity(network, criteria, level=level, data=statistics, device=device)

    return measure, show_similarity
