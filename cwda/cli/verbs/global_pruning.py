"""`cwda global-pruning`: what one ranking over all layers takes from each."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from cwda.choices import Normalisation
from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import NUMBERS, criteria_option, level_option, option
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from cwda.comparison import GlobalPruning
    from cwda.layers import Network

__all__ = ["global_pruning"]


@analysis(
    "global-pruning",
    "What each layer loses to one ranking of all filters.",
    examples="""
        cwda global-pruning --ratios .3,.5
        cwda global-pruning mine.pth --criteria l1,l2 --normalise mean \\
            --output shares.csv
    """,
)
@criteria_option("Criteria to rank by, separated by commas.")
@option("--ratios", "Shares of all filters to prune.", default=".1,.3,.5,.7", type=NUMBERS)
@option(
    "--normalise",
    "How to scale the scores of each layer before all are ranked together.",
    type=click.Choice(get_args(Normalisation)),
)
@level_option(0.95, "Level of the prediction intervals.")
def global_pruning(
    sources: Sources,
    criteria: list[str],
    ratios: list[float],
    normalise: str | None,
    level: float,
    device: str,
) -> Steps:
    """Predict and measure what each layer loses when all filters are ranked together.

    Layers lie in another order under l1 than under l2, and whole layers may go first.
    """
    import cwda
    from cwda.cli.evidence import resolve_criteria
    from cwda.cli.screen.show_predictions import show_global_pruning

    demanding = [criterion.name for criterion in resolve_criteria(criteria) if criterion.needs]
    if demanding:
        raise click.UsageError(
            f"only criteria of the weights alone are ranked globally, not {' and '.join(demanding)}"
        )

    def measure(network: Network) -> GlobalPruning:
        return cwda.global_pruning(
            network, criteria, ratios=ratios, normalise=normalise, level=level, device=device
        )

    return measure, show_global_pruning
