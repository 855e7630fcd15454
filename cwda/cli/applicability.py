"""`cwda applicability`: whether criteria can tell the filters of a layer apart."""

from __future__ import annotations

import functools

import click

from cwda.cli.options import criteria_option, device_option, names_of, summary_option
from cwda.cli.output import Outputs, output_option, table_of_each
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb

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
@device_option
@output_option
@summary_option
def applicability(
    sources: Sources, criteria: str, ratio: float, device: str, output: Outputs, summary: bool
) -> None:
    """Ask whether the scores of a layer can tell its filters apart.

    Their dispersion, measured and predicted, and the chance that sampling noise would swap a
    pruned and a kept filter: one half is a coin.
    """
    import cwda
    from cwda.cli.show_predictions import show_applicability

    table_of_each(
        sources,
        output,
        functools.partial(
            cwda.applicability, criteria=names_of(criteria), ratio=ratio, device=device
        ),
        functools.partial(show_applicability, layers=not summary),
    )
