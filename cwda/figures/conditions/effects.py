"""One condition with its intervals."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from cwda.arguments import name_of
from cwda.figures.drawing.canvas import canvas
from cwda.figures.drawing.conditions_table import conditions_table, margin_text
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import DARK, TEXT_WIDTH, VERDICTS, legend_above, message
from cwda.figures.drawing.tables import choose, unique
from cwda.figures.drawing.text import name_network
from cwda.typing import Named

__all__ = ["effects"]


def effects(source: object, condition: str | Named, *, ax: Axes | None = None) -> Axes:
    """Effect of one condition in every layer, with its interval and the margin.

    The verdict is read off: an interval left of the dashed line holds, right of it fails, across
    it is inconclusive.

    Parameters
    ----------
    source : CheckResult or DataFrame
        What `cwda.check` returns, or its table.
    condition : str
        One of its conditions.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the layers need, by default.

    Raises
    ------
    CwdaError
        If it is not such a table, holds several networks, or lacks the condition.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import effects
    >>> res = cwda.check(cwda.load("resnet20-cifar10").select("layer3.*"), ["mean"])
    >>> effects(res, "mean").get_xlabel()
    'effect: mean; margin .100 (dashed)'
    """
    condition = name_of(condition)
    rows = choose(conditions_table(source, "reason"), "condition", condition)
    names = list(rows["layer"])
    margins = layer_margins(names, top=13)
    with canvas(ax, TEXT_WIDTH, tall(len(names)) + margins.bottom + margins.top, margins) as ax:
        if not rows["effect"].notna().any():
            return message(ax, f"No layer can be tested: {rows['reason'].iloc[0]}")
        place = np.arange(len(names)) + 0.5
        for verdict, style in VERDICTS.items():
            which = (rows["verdict"] == verdict).to_numpy()
            if not which.any():
                continue
            part, y = rows[which], place[which]
            label = f"{style.mark} {verdict} ({len(part)})"
            if verdict == "not applicable":
                ax.plot(np.zeros(len(y)), y, style.marker, color=style.line, label=label)
                continue
            ax.hlines(y, part["effect_low"], part["effect_high"], color=style.line, linewidth=1)
            ax.plot(
                part["effect"],
                y,
                style.marker,
                color=style.line,
                markersize=4,
                markeredgecolor="white",
                markeredgewidth=0.4,
                label=label,
            )
        for margin in unique(rows["margin"]):
            ax.axvline(margin, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8)
        label_layers(ax, names)
        low, high = rows["effect_low"].min(), rows["effect_high"].max()
        ax.set_xlim(left=min(0.0, float(low)) - 0.01 * float(high))
        ax.set_xlabel(f"effect: {condition}; margin {margin_text(rows['margin'])} (dashed)")
        name_network(ax, rows, condition, lines=legend_above(ax, len(VERDICTS)))
        return ax
