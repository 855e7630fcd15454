"""`cwda predict`: predicted rank correlations of the criteria, compared with measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cwda.cli.analysis import Steps, analysis
from cwda.cli.completion import rungs as all_rungs
from cwda.cli.options import (
    COUNT,
    bad_usage,
    criteria_option,
    level_option,
    names_option,
    option,
    seed_option,
)
from cwda.cli.sources import Sources

if TYPE_CHECKING:
    from cwda.comparison import Comparison
    from cwda.layers import Network

__all__ = ["predict"]


@analysis(
    "predict",
    "Predicted similarity compared with the measured one.",
    examples="""
        cwda predict
        cwda predict mine.pth --simulate --draws 500 --output predicted.csv
    """,
)
@criteria_option("Norm-based criteria to compare; at least two.")
@names_option("--rungs", "Rungs to predict with; block is CWDA in full.", all_rungs, "unknown rung")
@option(
    "--simulate",
    "Draw layers from the fitted model instead of the closed form: slower, and nearer to the "
    "truth in small layers.",
    is_flag=True,
)
@option("--draws", "Layers drawn for each layer and rung.", default=200, type=COUNT)
@seed_option
@level_option(0.95, "Level of the prediction intervals.")
def predict(
    sources: Sources,
    criteria: list[str],
    rungs: list[str] | None,
    simulate: bool,
    draws: int,
    seed: int,
    level: float,
    device: str,
) -> Steps:
    """Predict how alike pruning criteria rank the filters, and compare with the weights.

    Of criteria from data there is no prediction: `cwda similarity` measures how alike they are,
    and `cwda applicability` whether they tell filters apart, on the images of --data.

    The models are rungs of a ladder, from isotropic Gaussian filters over CWDA to filters that
    differ in scale and shape; for each the error, and the share of layers within the interval.
    """
    import cwda
    from cwda.cli.screen.show_predictions import show_comparison
    from cwda.theory.rungs import choose_rungs

    _require_theory(criteria)
    with bad_usage():
        choose_rungs(rungs)

    def measure(network: Network) -> Comparison:
        measured = cwda.similarity(network, criteria, device=device)
        if simulate:
            predicted = cwda.theory.simulate(
                network, criteria, rungs=rungs, draws=draws, level=level, device=device, seed=seed
            )
        else:
            predicted = cwda.theory.predict(
                network, criteria, rungs=rungs, level=level, device=device
            )
        return cwda.compare(measured, predicted)

    return measure, show_comparison


def _require_theory(criteria: list[str]) -> None:
    """Refuse criteria that exist, but that the theory does not speak of."""
    from cwda.cli.evidence import resolve_criteria
    from cwda.theory.criteria import CRITERIA

    names = [criterion.name for criterion in resolve_criteria(criteria)]
    others = [name for name in names if name not in CRITERIA]
    if others:
        raise click.UsageError(
            f"the theory predicts {', '.join(CRITERIA[:-1])} and {CRITERIA[-1]} only, not "
            f"{' and '.join(others)}; `cwda similarity` measures all criteria"
        )
