"""`cwda global-pruning`: what one ranking over all layers takes from each."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from cwda.choices import Normalisation
from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import (
    SHARES,
    Running,
    criteria_option,
    level_option,
    option,
    running_options,
)
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
        cwda global-pruning --criteria l2,taylor_l1 --data cifar10.npz
    """,
)
@criteria_option("Criteria to rank by, separated by commas.")
@option("--ratios", "Shares of all filters to prune.", default=".1,.3,.5,.7", type=SHARES)
@option(
    "--normalise",
    "How to scale the scores of each layer before all are ranked together.",
    type=click.Choice(get_args(Normalisation)),
)
@level_option(0.95, "Level of the prediction intervals.")
@running_options
def global_pruning(
    sources: Sources,
    criteria: list[str],
    ratios: list[float],
    normalise: str | None,
    level: float,
    running: Running,
    device: str,
) -> Steps:
    """Predict and measure what each layer loses when all filters are ranked together.

    Layers lie in another order under l1 than under l2, and whole layers may go first.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.show_predictions import show_global_pruning

    evidence = Evidence.of(resolve_criteria(criteria), sources, running, device)

    def measure(network: Network) -> GlobalPruning:
        network, statistics = evidence.collect(network)
        return cwda.global_pruning(
            network,
            criteria,
            ratios=ratios,
            normalise=normalise,
            level=level,
            data=statistics,
            device=device,
        )

    return measure, show_global_pruning
