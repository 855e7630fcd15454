"""What effects depend on, by the mixed models of a survey."""

from __future__ import annotations

from matplotlib.axes import Axes

from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.style import GREY, LINES, TEXT_WIDTH, legend_above, message, series_style
from cwda.figures.drawing.tables import tidy, unique
from cwda.figures.survey.strips import left_margin

__all__ = ["survey_terms"]


def survey_terms(source: object, *, ax: Axes | None = None) -> Axes:
    """Fixed terms of the mixed models with their intervals, one row per condition and term.

    Right of the line the effect is larger: deeper in the network, in wider layers, with such a
    kernel. A step of b multiplies a large effect by exp(b).

    Parameters
    ----------
    source : MixedModels or DataFrame
        What `cwda.population.mixed_models` gives, or its table.
    ax : Axes, optional
        Where to draw; a new figure as high as the rows need by default.

    Raises
    ------
    CwdaError
        If it is something else.
    """
    columns = ("condition", "term", "estimate", "low", "high", "reason")
    table = tidy(source, columns, "cwda.population.mixed_models")
    fitted = table.dropna(subset=["estimate"])
    conditions, terms = unique(fitted["condition"]), unique(table["term"])
    margins = Margins(left=left_margin(conditions), bottom=11, top=8)
    with canvas(ax, TEXT_WIDTH, 9.0 * max(len(conditions), 2) + 19, margins) as ax:
        if fitted.empty:
            return message(ax, f"No condition has a model: {_reason(table)}")
        ax.axvline(0, color=GREY, linewidth=0.8)
        for number, term in enumerate(terms):
            part = fitted[fitted["term"] == term]
            colour, marker = series_style(number)
            shift = 0.7 * ((number + 0.5) / len(terms) - 0.5)
            place = [conditions.index(name) + shift for name in part["condition"]]
            ax.hlines(place, part["low"], part["high"], color=colour, linewidth=1)
            ax.plot(part["estimate"], place, marker, color=colour, markersize=4, label=term)
        for row in range(len(conditions) - 1):
            ax.axhline(row + 0.5, color=LINES, linewidth=0.3)
        ax.set_yticks(range(len(conditions)), conditions)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(conditions) - 0.5, -0.5)
        ax.set_xlabel("change of asinh(effect / margin), with its interval")
        legend_above(ax, len(terms))
        return ax


def _reason(table: object) -> str:
    reasons = getattr(table, "reason", None)
    if reasons is None:
        raise CwdaError("the figure needs a table such as cwda.population.mixed_models gives")
    return str(reasons.iloc[0])
