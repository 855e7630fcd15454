"""`cwda predict`: predicted rank correlations of the criteria, compared with measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cwda.cli.completion import complete_rungs
from cwda.cli.options import criteria_option, device_option, names_of
from cwda.cli.output import Outputs, output_option, table_of_each
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb

if TYPE_CHECKING:
    from cwda.comparison import Comparison
    from cwda.layers import Network

__all__ = ["predict"]


@click.command(
    cls=Verb,
    short_help="Predicted similarity compared with the measured one.",
    epilog="""\b
Examples:
  cwda predict
  cwda predict mine.pth --simulate --draws 500 --output predicted.csv
""",
)
@source_options
@criteria_option("Two or more, separated by commas.")
@click.option("--rungs", metavar="NAMES", shell_complete=complete_rungs,
              help="Rungs: isotropic, diagonal, block (CWDA in full), scale, shape. "
              "Default: all.")  # fmt: skip
@click.option("--simulate", is_flag=True,
              help="Draw layers from the fitted model instead of the closed form: slower, and "
              "nearer to the truth in small layers.")  # fmt: skip
@click.option("--draws", default=200, show_default=True, type=click.IntRange(min=1),
              help="Layers drawn for each layer and rung.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of the draws.")  # fmt: skip
@click.option("--level", default=0.95, show_default=True,
              help="Level of the prediction intervals.")  # fmt: skip
@device_option
@output_option
def predict(
    sources: Sources,
    criteria: str,
    rungs: str | None,
    simulate: bool,
    draws: int,
    seed: int,
    level: float,
    device: str,
    output: Outputs,
) -> None:
    """Predict how alike pruning criteria rank the filters, and compare with the weights.

    The models are rungs of a ladder, from isotropic Gaussian filters over CWDA to filters that
    differ in scale and shape; for each the error, and the share of layers within the interval.
    """
    import cwda
    from cwda.cli.screen.show_predictions import show_comparison

    names = names_of(criteria)
    ladder = names_of(rungs) if rungs else None

    def measure(network: Network) -> Comparison:
        measured = cwda.similarity(network, names, device=device)
        if simulate:
            predicted = cwda.theory.simulate(
                network, names, rungs=ladder, draws=draws, level=level, device=device, seed=seed
            )
        else:
            predicted = cwda.theory.predict(
                network, names, rungs=ladder, level=level, device=device
            )
        return cwda.compare(measured, predicted)

    table_of_each(sources, output, measure, show_comparison)
