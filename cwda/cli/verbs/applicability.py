"""`cwda applicability`: whether criteria can tell the filters of a layer apart."""

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
    from cwda.comparison import Applicability
    from cwda.layers import Network

__all__ = ["applicability"]


@click.command(
    cls=Verb,
    short_help="Can scores tell the filters of a layer apart?",
    epilog="""\b
Examples:
  cwda applicability --criteria l2
  cwda applicability mine.pth --ratio 0.3 --output swaps.csv
""",
)
@source_options
@criteria_option("Criteria, separated by commas.")
@click.option("--ratio", default=0.5, show_default=True, help="Share of the filters pruned.")
@means_options
@device_option
@output_option
@summary_option
def applicability(
    sources: Sources,
    criteria: str,
    ratio: float,
    means: Means,
    device: str,
    output: Outputs,
    summary: bool,
) -> None:
    """Ask whether the scores of a layer can tell its filters apart.

    Their dispersion, measured and predicted, and the chance that sampling noise would swap a
    pruned and a kept filter: one half is a coin.
    """
    import cwda
    from cwda.cli.evidence import Evidence
    from cwda.cli.screen.show_predictions import show_applicability
    from cwda.scoring.registry import resolve

    found = resolve(names_of(criteria))
    names = [each.name for each in found]
    evidence = Evidence.of(found, sources, means, device)

    def measure(network: Network) -> Applicability:
        network, statistics = evidence.collect(network)
        return cwda.applicability(network, names, ratio=ratio, device=device, data=statistics)

    table_of_each(
        sources, output, measure, functools.partial(show_applicability, layers=not summary)
    )
