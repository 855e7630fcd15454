"""Names next to some of many points, where they cover little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from cwda.figures.drawing.layers_axis import elide
from cwda.figures.drawing.style import DARK, MM, SMALL
from cwda.figures.drawing.text import as_label, text_width

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NAMED", "name_points"]

#: Points that are named.
NAMED = 4

Array = npt.NDArray[np.float64]


def name_points(ax: Axes, x: pd.Series, y: pd.Series, names: pd.Series, points: Array) -> None:
    """Names next to, above or below points, where they cover the fewest others and no name."""
    to_pixels = ax.transData.transform
    scale = ax.figure.dpi / 72
    height = 1.1 * SMALL
    marks = to_pixels(points) / scale
    left, right = ax.bbox.x0 / scale, ax.bbox.x1 / scale
    taken = np.empty((0, 2))
    for at, name in zip(zip(x, y, strict=True), elide(list(names)), strict=True):
        width = text_width([as_label(name)], SMALL - 1) * MM * 72
        point = to_pixels(at) / scale
        room = left + width / 2 - point[0], right - width / 2 - point[0]
        aside, inside = 4 + width / 2, float(np.clip(0, *room))
        offsets = [(aside, 0.0), (-aside, 0.0)]
        offsets += [(inside, lines * height) for lines in (1, -1, 2, -2)]
        free = [
            offset
            for offset in offsets
            if room[0] <= offset[0] <= room[1] and not _within(taken, point + offset, width, height)
        ]
        if not free:
            continue
        hits = [_within(marks, point + offset, width / 2, height / 2) for offset in free]
        best = free[int(np.argmin(hits))]
        taken = np.vstack([taken, point + best])
        ax.annotate(
            as_label(name),
            at,
            best,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SMALL - 1,
            color=DARK,
        )


def _within(points: Array, centre: Array, width: float, height: float) -> int:
    """How many points lie within a distance of a centre, across and along."""
    return int((np.abs(points - centre) < (width, height)).all(axis=1).sum())
