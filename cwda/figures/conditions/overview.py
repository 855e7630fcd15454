"""All verdicts at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.conditions_table import conditions_table, margin_text
from cwda.figures.drawing.glyphs import write_many
from cwda.figures.drawing.heat import cell_text_size, gap, undefined_background
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import GREY, MM, TEXT_WIDTH, VERDICTS, size_in_points
from cwda.figures.drawing.tables import unique
from cwda.figures.drawing.text import name_network, text_width
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["overview"]

#: A page of a report has no room for more, in mm.
HIGHEST = 240.0

#: Rows lower than this, in points, have no room for dots, and show colours only.
_DOTTED = 2.2

#: Space between the heads of two columns, in mm; heads that are wider stand upright.
_APART = 1.0


def overview(source: object, *, ax: Axes | None = None) -> Axes:
    """All verdicts: layers of a network, or networks, by conditions, with effect and mark.

    The colours differ in lightness: light holds, middle inconclusive, dark fails, hatched not
    applicable. Where rows are too low for numbers, a dot stands for the effect: at the left
    edge of the cell 0, in the middle the margin, at the right edge twice the margin or more. The
    lowest rows show the colour alone.

    Parameters
    ----------
    source : CheckResult, NetworkResult or DataFrame
        What `cwda.check` returns, or its table: a row per layer. Its `.network`: a row per
        network, of which there may be several.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the rows need, by default.

    Raises
    ------
    CwdaError
        If it is not such a table, empty, or holds layers of several networks.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import overview
    >>> ax = overview(cwda.check(cwda.load("resnet20-cifar10").select("layer3.*")))
    >>> [label.get_text() for label in ax.get_xticklabels()][:2]
    ['gaussianity\\nmargin .050', 'shape\\nmargin 2.000']
    """
    from cwda.conditions.whole.result import NetworkResult

    if isinstance(source, NetworkResult):
        source = source.table.rename(columns={"network": "layer"})
    table = conditions_table(source)
    layers, conditions = unique(table["layer"]), unique(table["condition"])
    margins = layer_margins(layers, bottom=7, top=17)
    heads = [
        f"{name}\nmargin {margin_text(table.loc[table['condition'] == name, 'margin'])}"
        for name in conditions
    ]
    widest = text_width([line for head in heads for line in head.splitlines()])
    if widest > (TEXT_WIDTH - margins.left - margins.right) / len(heads) - _APART:
        margins = replace(margins, top=12 + widest)
    height = min(tall(len(layers)) + margins.bottom + margins.top, HIGHEST)
    with canvas(ax, TEXT_WIDTH, height, margins) as ax:
        upright = widest > size_in_points(ax)[0] / 72 / MM / len(heads) - _APART
        _cells(ax, table, layers, conditions)
        label_layers(ax, layers)
        ax.set_xlim(0, len(heads))
        ax.set_xticks(np.arange(len(heads)) + 0.5, heads, rotation=90 if upright else 0)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        name_network(ax, table)  # matplotlib puts it above the heads
        _verdict_legend(ax)
        return ax


def _cells(ax: Axes, table: pd.DataFrame, layers: Sequence[str], conditions: Sequence[str]) -> None:
    """A cell per row of the table, in the colour of its verdict, with its effect."""
    shape = len(layers), len(conditions)
    rows = table["layer"].map({name: i for i, name in enumerate(layers)}).to_numpy()
    columns = table["condition"].map({name: j for j, name in enumerate(conditions)}).to_numpy()
    tested = [*VERDICTS][:-1]
    ranks, ratios, effects = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    ranks[rows, columns] = [tested.index(v) if v in tested else np.nan for v in table["verdict"]]
    effects[rows, columns] = table["effect"]
    ratios[rows, columns] = table["effect"] / table["margin"]
    undefined_background(ax)
    ax.pcolormesh(
        np.ma.masked_invalid(ranks),
        cmap=ListedColormap([VERDICTS[name].fill for name in tested]),
        norm=BoundaryNorm(np.arange(len(tested) + 1) - 0.5, len(tested)),
        edgecolors="white",
        linewidth=gap(ax, shape[0]),
    )
    size = cell_text_size(ax, *shape, characters=7)
    cells = list(zip(*np.nonzero(np.isfinite(ranks)), strict=True))
    styles = [VERDICTS[tested[int(ranks[cell])]] for cell in cells]
    if size:
        write_many(
            ax,
            [(j + 0.5, i + 0.5) for i, j in cells],
            [
                f"{number(effects[cell])} {style.mark}"
                for cell, style in zip(cells, styles, strict=True)
            ],
            size,
            [style.ink for style in styles],
        )
    elif cells and size_in_points(ax)[1] / shape[0] > _DOTTED:
        ax.scatter(
            [j + 0.04 + 0.46 * np.clip(ratios[i, j], 0, 2) for i, j in cells],
            [i + 0.5 for i, _ in cells],
            s=2.5,
            c=[style.ink for style in styles],
            linewidths=0,
        )


def _verdict_legend(ax: Axes) -> None:
    handles = [
        Patch(
            facecolor=style.fill,
            edgecolor=GREY,
            linewidth=0.4,
            hatch="" if style.mark != "–" else "/////",
            label=f"{style.mark} {name}",
        )
        for name, style in VERDICTS.items()
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=len(handles),
        borderaxespad=0.4,
        handlelength=1.4,
        columnspacing=1.5,
    )
