"""Errors of predicted rank correlations in many networks."""

from __future__ import annotations

from matplotlib.axes import Axes

from cwda.arguments import as_list
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.style import GREY, TEXT_WIDTH, message
from cwda.figures.drawing.tables import choose
from cwda.figures.survey.strips import height_of, left_margin, strips
from cwda.population.bands import ordered
from cwda.population.tables import Surveyed, chosen_grouping, compared_layers, require_survey
from cwda.typing import Named

__all__ = ["survey_predictions"]


def survey_predictions(
    survey: Surveyed,
    pair: tuple[str | Named, str | Named] = ("l1", "l2"),
    *,
    by: str = "family",
    ax: Axes | None = None,
) -> Axes:
    """Predicted minus measured rank correlation in every layer, with quantiles of each row.

    The bar spans half of the layers, the thin line nine tenths, the circle is the median;
    networks count alike in these.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    pair : tuple of str or Criterion
        The two criteria.
    by : str
        "family", "task", "depth", "width", "kernel" or "groups".
    ax : Axes, optional
        Where to draw; a new figure as high as the rows need by default.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the pair or grouping is unknown.
    """
    names = as_list(pair, "criterion", CwdaError)
    if len(names) != 2:
        raise CwdaError(f"a pair is two criteria, not {len(names)}")
    grouping = chosen_grouping(by)
    rows = compared_layers(require_survey(survey))
    if rows.empty:
        with canvas(ax, TEXT_WIDTH, 40) as ax:
            return message(ax, "No layer has a prediction.")
    turned = " and ".join(reversed(names))
    wanted = turned if turned in set(rows["pair"]) else " and ".join(names)
    rows = choose(rows, "pair", wanted)
    rows = rows.assign(error=rows["predicted"] - rows["measured"], row=grouping.label(rows))
    groups = ordered(rows, grouping, "error")
    margins = Margins(left=left_margin(groups), bottom=11, top=4)
    with canvas(ax, TEXT_WIDTH, height_of(len(groups)) + 15, margins) as ax:
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        strips(ax, rows, "error", "row", groups)
        ax.set_xlabel(f"predicted - measured Spearman's ρ of {wanted}")
        return ax
