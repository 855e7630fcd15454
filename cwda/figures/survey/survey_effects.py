"""Effects in the layers of many networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.style import DARK, TEXT_WIDTH
from cwda.figures.drawing.tables import choose, unique
from cwda.figures.survey.strips import height_of, left_margin, strips
from cwda.population.bands import ordered
from cwda.population.tables import Surveyed, chosen_grouping, judged_layers, require_survey
from cwda.typing import Named

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["survey_effects"]

_TICKS = (-10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000)


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
        _asinh_axis(ax, rows["margins"])
        ax.axvline(1, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=0)
        what = "effect" if condition is None else f"effect: {name_of(condition)}"
        ax.set_xlabel(f"{what}, in margins (1: dashed)")
        return ax


def _asinh_axis(ax: Axes, values: pd.Series) -> None:
    """Linear around 0, logarithmic beyond one margin."""
    ax.set_xscale("asinh", linear_width=1.0)
    low, high = min(float(values.min()), 0.0), float(values.max())
    ax.set_xlim(low * 1.1 - 0.05, max(high, 1.5) * 1.2)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if low <= tick <= high * 1.2]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
