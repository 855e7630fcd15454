"""`cwda advise`: whether CWDA holds and what to prune a network by, in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import (
    KAPPA,
    SHARE,
    Running,
    criteria_option,
    level_option,
    option,
    running_options,
)
from cwda.cli.sources import Sources
from cwda.errors import CwdaError, WeightsError

if TYPE_CHECKING:
    from cwda.cli.screen.pruning.show_advice import Decision
    from cwda.layers import Network

__all__ = ["advise"]


@analysis(
    "advise",
    "Does CWDA hold, and what to prune by?",
    examples="""
        cwda advise
        cwda advise mine.pth --ratio 0.3 --output layers.csv
        cwda advise --criteria l2,bn_gamma,apoz,taylor_l1 --data cifar10.npz
    """,
)
@criteria_option("Criteria to choose from, separated by commas.")
@option("--ratio", "Share of the filters to prune.", default=0.5, type=SHARE)
@option(
    "--same",
    "Agreement of the pruned filters from which one criterion stands for another: 0 is chance, 1 "
    "the same filters.",
    default=0.75,
    type=KAPPA,
)
@level_option(0.95)
@running_options
def advise(
    sources: Sources,
    criteria: list[str],
    ratio: float,
    same: float,
    level: float,
    running: Running,
    device: str,
) -> Steps:
    """Say whether CWDA holds for each network, and what to prune it by at one ratio.

    Criteria that prune nearly the same filters form a cluster, and the cheapest of each stands for
    the others. The layers in which no criterion can tell filters apart are named, and whether one
    ranking over all layers needs scores that are normalised. With --data, criteria that need
    images can take part, and how many images they need is said.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.pruning.show_advice import Decision, show_decision
    from cwda.cli.screen.pruning.what_next import Way
    from cwda.conditions.whole.result import broken_layers

    evidence = Evidence.of(resolve_criteria(criteria), sources, running, device)

    def measure(network: Network) -> Decision:
        checked = cwda.check(network, device=device)
        network, statistics = evidence.collect(network)
        advice = cwda.advise(
            network, criteria, ratio=ratio, same=same, level=level, data=statistics, device=device
        )
        prunable, obstacle = None, ""
        broken = [f"layer {layer}: {why}" for layer, why in broken_layers(checked).items()]
        try:
            if advice.criterion:
                prunable = sources.prunable(network, running.arch)
        except WeightsError as error:
            broken.append(str(error))
        except CwdaError as error:
            obstacle = str(error).removeprefix(f"{network.provenance.source}: ")
        typed, whole = (sources.typed(of=network, whole=each) for each in (False, True))
        way = Way(
            typed,
            whole,
            sources.pattern(network),
            prunable,
            obstacle,
            next(iter(broken), ""),
            running.data,
        )
        return Decision(checked, advice, way)

    return measure, show_decision
