"""Networks among those of a survey, condition by condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.margins_axis import margins_axis
from cwda.figures.drawing.style import DARK, SMALL, TEXT_WIDTH, legend_above, message, series_style
from cwda.figures.drawing.tables import tidy, unique
from cwda.figures.drawing.text import fitted, set_title, text_width
from cwda.figures.survey.strips import left_margin, strips
from cwda.formatting import many
from cwda.population.others import FEWEST, network_effects
from cwda.population.tables import Surveyed, analysed, require_survey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST", "survey_places"]

#: Networks that can be told apart in one picture.
MOST = 4

_COLUMNS = ("network", "condition", "effect", "effect_low", "effect_high")

#: Where the marks of so many networks stand in a row, from its middle, which the quartiles take.
_LANES = {1: (0.3,), 2: (-0.3, 0.3), 3: (-0.37, -0.2, 0.3), 4: (-0.37, -0.2, 0.2, 0.37)}

#: Width of the legend, and of what stands beside a name in it, in mm.
_LEGEND, _KEY = 130.0, 10.0

#: Height of a row in mm, for one or two marks, and for more.
_ROW, _HIGH_ROW = 7.5, 10.5


def survey_places(survey: Surveyed, source: object, *, ax: Axes | None = None) -> Axes:
    """Networks of your own among those of a survey: the effect of each condition, in margins.

    Each point is a network of the survey. The bar spans half of these networks, the thin line nine
    tenths, the circle is the median, where there are 20 networks or more. Large marks, with their
    intervals, are your own. Left of the dashed line effects are negligible; margins are those of
    the survey.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives. All its networks are drawn, also your own if it has them.
    source : NetworkResult, CheckResult or DataFrame
        What `cwda.check` returns, its `.network`, or the table of that, of at most four networks.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the conditions need, by default.

    Raises
    ------
    CwdaError
        If this is no survey, no network of it was analysed, the other is no such table, or holds
        more networks.
    """
    from cwda.conditions.table import CheckResult

    whole = source.network if isinstance(source, CheckResult) else source
    table = tidy(whole, _COLUMNS, "cwda.check(...).network", several=True)
    own = unique(table["network"])
    if len(own) > MOST:
        raise CwdaError(f"the table holds {len(own)} networks; the figure tells {MOST} apart")
    rows = network_effects(require_survey(survey))
    rows = rows.assign(value=rows["value"] / rows["margin"])
    names = [name for name in unique(table["condition"]) if name in set(rows["condition"])]
    rows = rows[rows["condition"].isin(names)]
    among = f" among {many(len(analysed(survey)), 'network')}"
    columns = _columns(own)
    lines = -(-len(own) // columns)
    top = 7 if len(own) == 1 else 6 + 4 * lines
    margins = Margins(left=left_margin(names), right=7, bottom=11, top=top)
    row = _ROW if len(own) <= 2 else _HIGH_ROW
    height = max(len(names), 1) * row + margins.bottom + margins.top
    with canvas(ax, TEXT_WIDTH, height, margins) as ax:
        if not names:
            return message(ax, "The survey has none of these conditions.")
        strips(ax, rows, "value", "condition", names, fewest=FEWEST, size=7, alpha=0.6)
        drawn = [*rows["value"], *_marks(ax, table, own, dict(_margins(rows)), names)]
        margins_axis(ax, float(np.nanmin(drawn)), float(np.nanmax(drawn)))
        ax.axvline(1, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=0)
        ax.set_xlabel("effect of a network as a whole, in margins (1: dashed; beyond logarithmic)")
        if len(own) == 1:
            set_title(ax, str(own[0]), f" (■){among}")
        else:
            legend_above(ax, columns)
        return ax


def _columns(own: list[str]) -> int:
    """How many names stand beside each other in the legend."""
    return max(1, min(len(own), int(_LEGEND / (text_width(list(map(_label, own))) + _KEY))))


def _label(network: str) -> str:
    return fitted(network, "", _LEGEND - _KEY, SMALL)


def _margins(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("condition")["margin"].first()


def _marks(
    ax: Axes, table: pd.DataFrame, own: list[str], margins: dict[str, float], names: list[str]
) -> list[float]:
    """Draw the networks of the table with their intervals; all that was drawn, in margins."""
    drawn: list[float] = []
    for number, (network, shift) in enumerate(zip(own, _LANES[len(own)], strict=True)):
        # The first style has a circle, which is the median's here.
        colour, marker = series_style(number + 1)
        rows = table[(table["network"] == network) & table["condition"].isin(names)]
        scale = rows["condition"].map(margins)
        low, effect, high = (rows[f"effect{end}"] / scale for end in ("_low", "", "_high"))
        at = np.array([names.index(name) for name in rows["condition"]]) + shift
        ax.hlines(at, low, high, color=colour, linewidth=1.4, zorder=5)
        ax.plot(
            effect,
            at,
            marker,
            color=colour,
            markersize=5.5,
            markeredgecolor=DARK,
            markeredgewidth=0.8,
            linestyle="",
            zorder=6,
            label=_label(network),
        )
        drawn += [*low, *effect, *high]
    return drawn
