"""`cwda similarity`: how alike the pruning criteria rank the filters of each layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.failure import one_line_errors
from cwda.cli.options import CRITERIA, device_option, names_of
from cwda.cli.output import output_option, table_of_each
from cwda.cli.sources import Sources, source_options

if TYPE_CHECKING:
    import pandas as pd

    from cwda.layers import Network

__all__ = ["similarity"]


@click.command(
    short_help="How alike criteria rank the filters.",
    epilog="""\b
Examples:
  cwda similarity
  cwda similarity --model resnet18 --criteria l1,l2 --output pairs.csv
""",
)
@source_options
@click.option("--criteria", default=CRITERIA, show_default=True, metavar="NAMES",
              help="Two or more, separated by commas.")  # fmt: skip
@click.option("--alpha", default=0.05, show_default=True, metavar="LEVEL",
              help="Intervals have level 1 - alpha.")  # fmt: skip
@device_option
@output_option
@click.option("--summary", is_flag=True, help="Show the pairs only, not the layers.")
@one_line_errors
def similarity(
    sources: Sources, criteria: str, alpha: float, device: str, output: Path | None, summary: bool
) -> None:
    """Measure how alike pruning criteria rank the filters of each layer.

    Spearman's rank correlation of the scores of each two criteria, from the weights alone;
    the table has Kendall's tau-b, the overlap of the pruned filters, and intervals as well.
    """
    from rich.console import Console

    import cwda
    from cwda.cli.show_similarity import show_similarity
    from cwda.pruning.registry import resolve

    names = names_of(criteria)
    resolve(names, fewest=2)

    def show(network: Network) -> pd.DataFrame:
        result = cwda.similarity(network, names, device=device, alpha=alpha)
        show_similarity(result, Console(highlight=False), layers=not summary)
        return result.table

    table_of_each(sources, output, show)
