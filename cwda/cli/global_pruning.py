"""`cwda global`: what one ranking over all layers takes from each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.failure import one_line_errors
from cwda.cli.options import CRITERIA, device_option, names_of, numbers_of
from cwda.cli.output import output_option, table_of_each
from cwda.cli.sources import Sources, source_options

if TYPE_CHECKING:
    import pandas as pd

    from cwda.layers import Network

__all__ = ["global_pruning"]


@click.command(
    "global",
    short_help="What each layer loses to one ranking of all filters.",
    epilog="""\b
Examples:
  cwda global --ratios .3,.5
  cwda global --criteria l1,l2 --normalise mean --output shares.csv
""",
)
@source_options
@click.option("--criteria", default=CRITERIA, show_default=True, metavar="NAMES")
@click.option("--ratios", default=".1,.3,.5,.7", show_default=True, metavar="NUMBERS",
              help="Shares of all filters pruned.")  # fmt: skip
@click.option("--normalise", type=click.Choice(["mean", "zscore"]),
              help="Scale the scores of each layer first.")  # fmt: skip
@device_option
@output_option
@click.option("--summary", is_flag=True, help="Show the criteria only, not the layers.")
@one_line_errors
def global_pruning(
    sources: Sources,
    criteria: str,
    ratios: str,
    normalise: str | None,
    device: str,
    output: Path | None,
    summary: bool,
) -> None:
    """Predict and measure what each layer loses when all filters are ranked together.

    Layers lie in another order under l1 than under l2, and whole layers may go first.
    """
    from rich.console import Console

    import cwda
    from cwda.cli.show_predictions import show_global_pruning

    names, shares = names_of(criteria), numbers_of(ratios, "--ratios")

    def show(network: Network) -> pd.DataFrame:
        result = cwda.global_pruning(network, names, shares, normalise, device=device)
        show_global_pruning(network, result, Console(highlight=False), layers=not summary)
        return result.table

    table_of_each(sources, output, show)
