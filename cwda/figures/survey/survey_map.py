"""Effects of many networks as a whole, one cell per condition."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from cwda.arguments import choose
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.heat import colour_bar, heat
from cwda.figures.drawing.style import DIVERGING, SMALL, TEXT_WIDTH, size_in_points
from cwda.figures.drawing.tables import unique
from cwda.figures.survey.strips import left_margin
from cwda.population.tables import Surveyed, judged_networks, require_survey

__all__ = ["survey_map"]

#: Colours end at a fourth of the margin and at four margins.
_END = 4.0
_TALLEST = 235.0


def survey_map(
    survey: Surveyed, by: Literal["family", "network"] = "family", *, ax: Axes | None = None
) -> Axes:
    """Effect of each condition in the networks as a whole, in margins, the mildest rows on top.

    Blue is within the margin, red beyond; the colours end at a fourth and at four margins. A
    family has the median of its networks. Hatched cells could not be judged.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    by : {"family", "network"}
        What has a row.
    ax : Axes, optional
        Where to draw; a new figure as high as the rows need by default.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or `by` is unknown.
    """
    (by,) = choose([by], ("family", "network"), "kind of row")  # type: ignore[assignment]
    rows = judged_networks(require_survey(survey))
    rows = rows.assign(margins=rows["effect"] / rows["margin"])
    key = "family" if by == "family" else "hash"
    table = rows.pivot_table("margins", key, "condition", aggfunc="median")
    table = table[[name for name in unique(survey.conditions["condition"]) if name in table]]
    table = table.loc[table.median(axis=1).sort_values(kind="stable").index]
    labels = dict(zip(rows["hash"], rows["name"], strict=True)) if by == "network" else {}
    names = [_cut(str(labels.get(row, row))) for row in table.index]
    margins = Margins(left=left_margin(names), right=20, bottom=15, top=3)
    height = min(max(4.2 * len(names) + 18, 54.0), _TALLEST)
    with canvas(ax, TEXT_WIDTH, height, margins) as ax:
        values = np.clip(table.to_numpy(dtype=np.float64), 1 / _END**2, None)
        norm = TwoSlopeNorm(0.0, -np.log(_END), np.log(_END))
        shown = heat(ax, np.log(values), norm, DIVERGING, lambda value: _text(float(value)))
        ax.set_xticks(np.arange(table.shape[1]) + 0.5, list(table.columns), rotation=30, ha="right")
        ax.set_yticks(np.arange(len(names)) + 0.5, names)
        size = 0.85 * size_in_points(ax)[1] / len(names)
        ax.tick_params(axis="y", labelsize=min(SMALL, max(size, 3.0)))
        colour_bar(ax, shown, "effect, in margins", extend="both")
        bar = shown.colorbar
        if bar is not None:
            ticks = [1 / _END, 0.5, 1, 2, _END]
            bar.set_ticks(list(np.log(ticks)), labels=[f"{tick:g}" for tick in ticks])
        return ax


def _text(value: float) -> str:
    effect = float(np.exp(value))
    if effect < 0.095:
        return "<.1"
    return f"{effect:.1f}".removeprefix("0") if effect < 9.95 else f"{effect:.0f}"


def _cut(name: str, most: int = 38) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
