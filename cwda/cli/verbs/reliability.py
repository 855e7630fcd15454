"""`cwda reliability`: how far scores depend on the images, and how many images would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import (
    RELIABILITY,
    SHARE,
    Running,
    criteria_option,
    level_option,
    option,
    running_options,
)
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from cwda.layers import Network
    from cwda.scoring import ReliabilityResult

__all__ = ["reliability"]


@analysis(
    "reliability",
    "Do scores depend on the draw of the images?",
    examples="""
        cwda reliability --criteria taylor_l1,apoz --data cifar10.npz
        cwda reliability mine.pth --criteria snip --data cifar10.npz --samples 4096
    """,
)
@criteria_option("Criteria to examine, separated by commas.")
@option("--ratio", "Share of the filters of each layer pruned.", default=0.5, type=SHARE)
@option("--target", "Reliability for which images are counted.", default=0.9, type=RELIABILITY)
@level_option(0.95)
@running_options
def reliability(
    sources: Sources,
    criteria: list[str],
    ratio: float,
    target: float,
    level: float,
    running: Running,
    device: str,
) -> Steps:
    """Ask how far scores depend on the images, and how many images are needed.

    Halves of the images are compared, and the correlation is stepped up to all of them by
    Spearman and Brown: the rank correlation to expect with another draw of as many images, and
    the share of the pruned filters that the other draw would spare.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.show_reliability import show_reliability

    evidence = Evidence.of(resolve_criteria(criteria), sources, running, device)
    evidence.require_halves()

    def measure(network: Network) -> ReliabilityResult:
        network, statistics = evidence.collect(network)
        return cwda.reliability(
            network,
            criteria,
            ratio=ratio,
            target=target,
            level=level,
            data=statistics,
            device=device,
        )

    return measure, show_reliability
