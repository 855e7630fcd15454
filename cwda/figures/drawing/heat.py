"""Matrices of numbers as coloured cells: the shared part of the heat maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cwda.figures.drawing.glyphs import write_many
from cwda.figures.drawing.style import DARK, FONT, LINES, SIZE, SMALL, UNDEFINED, size_in_points

__all__ = ["cell_text_size", "colour_bar", "gap", "heat", "undefined_background"]

_SMALLEST = 5.0

#: Rows of fewer points have no lines between them.
_LINED = 2.2


def heat(
    ax: Axes, values: npt.NDArray[Any], norm: Normalize, cmap: str, text: Callable[[float], str]
) -> ScalarMappable:
    """Cells coloured by value, with the value in them where there is room; NaN is hatched.

    Row i spans y = i to i + 1 and column j spans x = j to j + 1, the first row on top.
    """
    rows, columns = values.shape
    undefined_background(ax)
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values),
        cmap=cmap,
        norm=norm,
        edgecolors="white",
        linewidth=gap(ax, rows),
    )
    ax.set_ylim(rows, 0)
    size = cell_text_size(ax, rows, columns, characters=4)
    if size:
        colours = colormaps[cmap](norm(values))
        at = list(zip(*np.nonzero(np.isfinite(values)), strict=True))
        write_many(
            ax,
            [(j + 0.5, i + 0.5) for i, j in at],
            [text(values[cell]) for cell in at],
            size,
            [_ink(colours[cell]) for cell in at],
        )
    return mesh


def undefined_background(ax: Axes) -> None:
    """Hatch what no cell covers, and take away the frame."""
    ax.set_facecolor(UNDEFINED)
    ax.patch.set(hatch="/////", edgecolor=LINES, linewidth=0)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def gap(ax: Axes, rows: int) -> float:
    """Width of the white lines between cells, in points: a tenth of a low row at most.

    Between rows that a screen cannot tell apart there is none: it would be all that is seen.
    """
    height = size_in_points(ax)[1] / rows
    return min(0.5, 0.1 * height) if height > _LINED else 0.0


def cell_text_size(ax: Axes, rows: int, columns: int, characters: int) -> float:
    """Size of text that fits cells, in points; 0 where none can be read."""
    width, height = size_in_points(ax)
    size = min(SMALL, 0.8 * height / rows, width / columns / (0.66 * characters))
    return size if size >= _SMALLEST else 0.0


def _ink(rgba: npt.NDArray[Any]) -> str:
    luminance = float(np.dot(rgba[:3] ** 2.2, [0.2126, 0.7152, 0.0722]))
    return DARK if luminance > 0.2 else "white"


def colour_bar(
    ax: Axes, shown: ScalarMappable, label: str, ticks: Any = None, extend: str = "neither"
) -> None:
    """A bar of 3 mm by at most 45 mm, right of the Axes; they keep their place."""
    width, height = size_in_points(ax)
    mm = 72 / 25.4
    share = min(1.0, 45 * mm / height)
    cax = ax.inset_axes((1 + 3 * mm / width, 1 - share, 3 * mm / width, share))
    bar = ax.figure.colorbar(shown, cax=cax, extend=extend, label=label)
    if ticks is not None:
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, labelfontfamily=FONT, length=2, width=0.6, pad=2)
    bar.ax.yaxis.label.set_fontsize(SIZE)
