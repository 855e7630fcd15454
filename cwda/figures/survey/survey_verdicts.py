"""Which conditions hold in many networks."""

from __future__ import annotations

from matplotlib.axes import Axes

from cwda.choices import JUDGED
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.style import DARK, SMALL, TEXT_WIDTH, VERDICTS, legend_above
from cwda.figures.drawing.tables import choose
from cwda.figures.survey.strips import height_of, left_margin
from cwda.population.shares import Unit, verdict_shares
from cwda.population.tables import Surveyed

__all__ = ["survey_verdicts"]


def survey_verdicts(survey: Surveyed, unit: Unit = "networks", *, ax: Axes | None = None) -> Axes:
    """Shares of networks, layers or families in which each condition holds, fails, or is open.

    The line across the end of the first bar is the 95 % interval of the share in which the
    condition holds, over families of networks.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    unit : {"networks", "layers", "families"}
        What the shares are of.
    ax : Axes, optional
        Where to draw; a new figure as high as the rows need by default.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the unit is unknown.
    """
    rows = choose(verdict_shares(survey).table, "unit", unit).reset_index(drop=True)
    names = list(rows["condition"])
    margins = Margins(left=left_margin(names), right=14, bottom=11, top=8)
    with canvas(ax, TEXT_WIDTH, height_of(len(names)) + 19, margins) as ax:
        left = 0 * rows["holds"]
        for verdict in ("holds", "inconclusive", "fails"):
            style, width = VERDICTS[verdict], rows[verdict]
            label = f"{style.mark} {verdict}"
            ax.barh(rows.index, width, left=left, color=style.fill, height=0.74, label=label)
            left = left + width
        known = rows.dropna(subset=["holds_low"])
        ax.hlines(known.index, known["holds_low"], known["holds_high"], color=DARK, linewidth=1)
        ax.plot(rows["holds"], rows.index, "|", color=DARK, markersize=7)
        for place, networks in enumerate(rows["judged"]):
            ax.text(1.015, place, f"n = {networks:,}", va="center", fontsize=SMALL)
        ax.set_yticks(rows.index, names)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlim(0, 1)
        ax.set_xlabel(f"share of {unit}")
        legend_above(ax, len(JUDGED))
        return ax
