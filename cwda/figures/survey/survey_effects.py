"""Effects in the layers of many networks."""

from __future__ import annotations

from matplotlib.axes import Axes

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.margins_axis import margins_axis
from cwda.figures.drawing.style import DARK, TEXT_WIDTH
from cwda.figures.drawing.tables import choose, unique
from cwda.figures.survey.strips import height_of, left_margin, strips
from cwda.population.bands import ordered
from cwda.population.tables import Surveyed, chosen_grouping, judged_layers, require_survey
from cwda.typing import Named

__all__ = ["survey_effects"]


def survey_effects(
    survey: Surveyed,
    condition: str | Named | None = None,
    *,
    by: str = "family",
    ax: Axes | None = None,
) -> Axes:
    """Effects in the layers of many networks, in margins, with quantiles of each row.

    Each point is a layer. The bar spans half of the layers, the thin line nine tenths, the
    circle is the median; networks count alike in these. Left of the dashed line effects are
    negligible.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    condition : str, optional
        One condition, with a row per group; by default a row per condition.
    by : str
        Groups of one condition: "family", "task", "depth", "width", "kernel" or "groups".
    ax : Axes, optional
        Where to draw; a new figure as high as the rows need by default.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the condition or grouping is unknown.
    """
    grouping = chosen_grouping(by)
    rows = judged_layers(require_survey(survey))
    rows = rows.assign(margins=rows["effect"] / rows["margin"])
    if condition is None:
        rows, names = rows.assign(row=rows["condition"]), unique(rows["condition"])
    else:
        rows = choose(rows, "condition", name_of(condition))
        rows = rows.assign(row=grouping.label(rows))
        names = ordered(rows, grouping, "margins")
    margins = Margins(left=left_margin(names), bottom=11, top=4)
    with canvas(ax, TEXT_WIDTH, height_of(len(names)) + 15, margins) as ax:
        strips(ax, rows, "margins", "row", names)
        margins_axis(ax, float(rows["margins"].min()), float(rows["margins"].max()))
        ax.axvline(1, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=0)
        what = "effect" if condition is None else f"effect: {name_of(condition)}"
        ax.set_xlabel(f"{what}, in margins (1: dashed; beyond it logarithmic)")
        return ax
