"""`cwda applicability`: whether criteria can tell the filters of a layer apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import (
    SHARE,
    Running,
    criteria_option,
    level_option,
    option,
    running_options,
)
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cwda.comparison import Applicability
    from cwda.layers import Network
    from cwda.scoring import Collected

__all__ = ["applicability"]


@analysis(
    "applicability",
    "Can scores tell the filters of a layer apart?",
    examples="""
        cwda applicability --criteria l2
        cwda applicability mine.pth --ratio 0.3 --output swaps.csv
        cwda applicability mine.th --criteria bn_gamma,taylor_l2,l2 \\
            --data cifar10.npz --figure scores.pdf
    """,
)
@criteria_option("Criteria to examine, separated by commas.")
@option("--ratio", "Share of the filters pruned.", default=0.5, type=SHARE)
@level_option(0.95)
@option(
    "--figure",
    "Draw histograms of the scores (figure 1 of the paper) to FILE.svg, FILE.pdf or FILE.png: six "
    "layers, evenly spaced in depth, of those that --layers selects. With several networks, one "
    "file each, with its name.",
    type=DRAWN,
    metavar="FILE",
)
@running_options
def applicability(
    sources: Sources,
    criteria: list[str],
    ratio: float,
    level: float,
    figure: Path | None,
    running: Running,
    device: str,
) -> Steps:
    """Ask whether the scores of a layer can tell its filters apart.

    Their dispersion, measured and predicted, the smallest score, and the chance that a fresh draw
    would swap a pruned and a kept filter: of filters with the same scales for l1, l2, gm and
    fermat, of as many images for criteria from data. One half is a coin.
    """
    import cwda
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.figure_file import require_drawable
    from cwda.cli.screen.show_predictions import show_applicability

    if figure:
        require_drawable(figure)
    evidence = Evidence.of(resolve_criteria(criteria), sources, running, device)

    def measure(network: Network) -> Applicability:
        network, statistics = evidence.collect(network)
        result = cwda.applicability(
            network, criteria, ratio=ratio, level=level, data=statistics, device=device
        )
        if figure:
            alone = len(sources.entries) < 2
            name = "" if alone else f"-{network.name.replace('/', '-').replace(':', '-')}"
            target = figure.with_name(f"{figure.stem}{name}{figure.suffix}")
            _draw(network, criteria, statistics, target, device)
        return result

    return measure, show_applicability


def _draw(
    network: Network, criteria: Sequence[str], data: Collected | None, target: Path, device: str
) -> None:
    from cwda.cli.figure_file import write_figure
    from cwda.figures import score_histograms

    axes = score_histograms(network, None, criteria, data=data, device=device)
    write_figure(axes.figure, target)
