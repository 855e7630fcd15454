"""`cwda predict`: predicted rank correlations of the criteria beside the measured ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.failure import one_line_errors
from cwda.cli.options import CRITERIA, device_option, names_of
from cwda.cli.output import output_option, table_of_each
from cwda.cli.sources import Sources, source_options

if TYPE_CHECKING:
    import pandas as pd

    from cwda.layers import Network

__all__ = ["predict"]


@click.command(
    short_help="Predicted similarity beside the measured one.",
    epilog="""\b
Examples:
  cwda predict
  cwda predict --criteria l1,l2 --simulate --draws 500 --output predicted.csv
""",
)
@source_options
@click.option("--criteria", default=CRITERIA, show_default=True, metavar="NAMES",
              help="Two or more of these.")  # fmt: skip
@click.option("--rungs", metavar="NAMES",
              help="Models: isotropic, diagonal, block (CWDA in full), scale, shape. "
              "Default: all.")  # fmt: skip
@click.option("--simulate", is_flag=True,
              help="Draw layers from the fitted model instead of the closed form: slower, and "
              "nearer to the truth in small layers.")  # fmt: skip
@click.option("--draws", default=200, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--level", default=0.95, show_default=True, help="Of the prediction intervals.")
@device_option
@output_option
@one_line_errors
def predict(
    sources: Sources,
    criteria: str,
    rungs: str | None,
    simulate: bool,
    draws: int,
    seed: int,
    level: float,
    device: str,
    output: Path | None,
) -> None:
    """Predict how alike pruning criteria rank the filters, and compare with the weights.

    A ladder of models, from isotropic Gaussian filters over CWDA to filters that differ in
    scale and shape; for each the error, and the share of layers within the interval.
    """
    from rich.console import Console

    import cwda
    from cwda.cli.show_predictions import show_comparison

    names = names_of(criteria)
    models = names_of(rungs) if rungs else None

    def show(network: Network) -> pd.DataFrame:
        measured = cwda.similarity(network, names, device=device)
        if simulate:
            predicted = cwda.simulate_similarity(
                network, names, models, draws=draws, seed=seed, level=level, device=device
            )
        else:
            predicted = cwda.predict_similarity(network, names, models, level=level, device=device)
        result = cwda.compare(measured, predicted)
        show_comparison(network, result, Console(highlight=False))
        return result.table

    table_of_each(sources, output, show)
