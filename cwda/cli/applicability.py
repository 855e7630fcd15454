"""`cwda applicability`: whether criteria can tell the filters of a layer apart."""

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

__all__ = ["applicability"]


@click.command(
    short_help="Can scores tell the filters of a layer apart?",
    epilog="""\b
Examples:
  cwda applicability --criteria l2
  cwda applicability --checkpoint mine.pth --ratio 0.3 --output swaps.csv
""",
)
@source_options
@click.option("--criteria", default=CRITERIA, show_default=True, metavar="NAMES")
@click.option("--ratio", default=0.5, show_default=True, help="Share of the filters pruned.")
@device_option
@output_option
@click.option("--summary", is_flag=True, help="Show the criteria only, not the layers.")
@one_line_errors
def applicability(
    sources: Sources, criteria: str, ratio: float, device: str, output: Path | None, summary: bool
) -> None:
    """Ask whether the scores of a layer can tell its filters apart.

    Their dispersion, measured and predicted, and the chance that sampling noise would swap a
    pruned and a kept filter: one half is a coin.
    """
    from rich.console import Console

    import cwda
    from cwda.cli.show_predictions import show_applicability

    names = names_of(criteria)

    def show(network: Network) -> pd.DataFrame:
        result = cwda.applicability(network, names, ratio=ratio, device=device)
        show_applicability(network, result, Console(highlight=False), layers=not summary)
        return result.table

    table_of_each(sources, output, show)
