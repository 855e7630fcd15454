"""`cwda global`: what one ranking over all layers takes from each."""

from __future__ import annotations

import functools

import click

from cwda.cli.options import criteria_option, device_option, names_of, numbers_of, summary_option
from cwda.cli.output import Outputs, output_option, table_of_each
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb

__all__ = ["global_pruning"]


@click.command(
    "global",
    cls=Verb,
    short_help="What each layer loses to one ranking of all filters.",
    epilog="""\b
Examples:
  cwda global --ratios .3,.5
  cwda global mine.pth --criteria l1,l2 --normalise mean --output shares.csv
""",
)
@source_options
@criteria_option("Criteria, separated by commas.")
@click.option("--ratios", default=".1,.3,.5,.7", show_default=True, metavar="NUMBERS",
              help="Shares of all filters pruned.")  # fmt: skip
@click.option("--normalise", type=click.Choice(["mean", "zscore"]),
              help="Scale the scores of each layer first.")  # fmt: skip
@device_option
@output_option
@summary_option
def global_pruning(
    sources: Sources,
    criteria: str,
    ratios: str,
    normalise: str | None,
    device: str,
    output: Outputs,
    summary: bool,
) -> None:
    """Predict and measure what each layer loses when all filters are ranked together.

    Layers lie in another order under l1 than under l2, and whole layers may go first.
    """
    import cwda
    from cwda.cli.screen.show_predictions import show_global_pruning
    from cwda.errors import CriterionError
    from cwda.scoring.registry import resolve

    names, shares = names_of(criteria), numbers_of(ratios, "--ratios")
    demanding = [each.name for each in resolve(names) if each.needs]
    if demanding:
        raise CriterionError(
            f"a global ranking is of criteria of the weights alone, not {' and '.join(demanding)}"
        )
    table_of_each(
        sources,
        output,
        lambda network: cwda.global_pruning(
            network, names, ratios=shares, normalise=normalise, device=device
        ),
        functools.partial(show_global_pruning, layers=not summary),
    )
