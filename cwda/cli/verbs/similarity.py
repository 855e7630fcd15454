"""`cwda similarity`: how alike the pruning criteria rank the filters of each layer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import click

from cwda.cli.options import (
    Means,
    criteria_option,
    device_option,
    means_options,
    names_of,
    summary_option,
)
from cwda.cli.output import Outputs, output_option, table_of_each
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb

if TYPE_CHECKING:
    from cwda.layers import Network
    from cwda.scoring import SimilarityResult

__all__ = ["similarity"]


@click.command(
    cls=Verb,
    short_help="How alike criteria rank the filters.",
    epilog="""\b
Examples:
  cwda similarity
  cwda similarity resnet18 mine.pth --criteria l1,l2 --output pairs.csv
  cwda similarity --criteria l1,bn_gamma,taylor_l1 --data cifar10.npz
""",
)
@source_options
@criteria_option("Two or more, separated by commas.")
@click.option("--level", default=0.95, show_default=True, metavar="LEVEL",
              help="Confidence level of the intervals.")  # fmt: skip
@means_options
@device_option
@output_option
@summary_option
def similarity(
    sources: Sources,
    criteria: str,
    level: float,
    means: Means,
    device: str,
    output: Outputs,
    summary: bool,
) -> None:
    """Measure how alike pruning criteria rank the filters of each layer.

    Spearman's rank correlation of the scores of each two criteria. The table has Kendall's
    tau-b, the overlap of the pruned filters, and intervals as well. Criteria that need
    BatchNorm or images run the network itself, where its architecture is known.
    """
    import cwda
    from cwda.cli.evidence import Evidence
    from cwda.cli.screen.show_similarity import show_similarity
    from cwda.scoring.registry import resolve

    found = resolve(names_of(criteria), fewest=2)
    names = [each.name for each in found]
    evidence = Evidence.of(found, sources, means, device)

    def measure(network: Network) -> SimilarityResult:
        network, statistics = evidence.collect(network)
        return cwda.similarity(network, names, level=level, data=statistics, device=device)

    table_of_each(sources, output, measure, functools.partial(show_similarity, layers=not summary))
