"""`cwda applicability`: whether criteria can tell the filters of a layer apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import Running, criteria_option, level_option, option, running_options
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from cwda.comparison import Applicability
    from cwda.layers import Network

__all__ = ["applicability"]


@analysis(
    "applicability",
    "Can scores tell the filters of a layer apart?",
    examples="""
        cwda applicability --criteria l2
        cwda applicability mine.pth --ratio 0.3 --output swaps.csv
    """,
)
@criteria_option("Criteria to examine, separated by commas.")
@option("--ratio", "Share of the filters pruned.", default=0.5, metavar="SHARE")
@level_option(0.95)
@running_options
def applicability(
    sources: Sources,
    criteria: list[str],
    ratio: float,
    level: float,
    running: Running,
    device: str,
) -> Steps:
    """Ask whether the scores of a layer can tell its filters apart.

    Their dispersion, measured and predicted, and the chance that sampling noise would swap a
    pruned and a kept filter: one half is a coin.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.show_predictions import show_applicability

    evidence = Evidence.of(resolve_criteria(criteria), sources, running, device)

    def measure(network: Network) -> Applicability:
        network, statistics = evidence.collect(network)
        return cwda.applicability(
            network, criteria, ratio=ratio, level=level, data=statistics, device=device
        )

    return measure, show_applicability
