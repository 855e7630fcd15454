"""`cwda describe`: the size of each layer, and the classical numbers of its weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.options import reference_option
from cwda.cli.sources import Sources
from cwda.formatting import number

if TYPE_CHECKING:
    from cwda.cli.screen.screen import Screen
    from cwda.conditions import Description
    from cwda.layers import Network

__all__ = ["describe"]


@analysis(
    "describe",
    "Size, scale and correlation of the weights of each layer.",
    examples="""
        cwda describe mine.pth
        cwda describe resnet18 --layers 'layer1.*' --output layers.csv
    """,
)
@reference_option
def describe(sources: Sources, reference: Path | None, device: str) -> Steps:
    """Describe the weights of each layer: no test and no verdict.

    The table of --output has more: the diagonal of the covariance of filters, how its energy is
    shared by diagonal, blocks and the rest, and the effect of each condition; with --reference,
    how unusual each effect is.
    """
    import cwda
    from cwda.conditions.reference import as_reference

    others = as_reference(reference)

    def measure(network: Network) -> Description:
        return cwda.describe(network, reference=others, device=device)

    return measure, _show


def _show(result: Description, screen: Screen) -> None:
    from cwda.cli.screen.show import layer_cells, layer_table, reasons
    from cwda.cli.screen.table import Column

    columns = [
        *map(Column, ("weights", "mean", "sd")),
        Column(
            "channels\ncorrelate",
            meaning="mean absolute correlation of weights in different input channels",
        ),
        Column("by\nchance", meaning="what it would be without any correlation"),
        Column("effective\ndimension"),
    ]
    shown = layer_table(columns)
    for row in result:
        moments = (row.weight_mean, row.weight_sd)
        others = (row.mean_abs_correlation, row.sampling_level, row.effective_dim)
        cells = [*map(_significant, moments), *map(number, others)]
        shown.add(*layer_cells(row), f"{row.n_weights:,}", *cells)
    screen.table(shown)
    screen.remarks(reasons(result.table))


def _significant(value: float) -> str:
    """Three significant digits: weights of deep layers are small."""
    return number(value) if math.isnan(value) else f"{value:.3g}"
