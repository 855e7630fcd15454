"""How the effects of each condition are spread over the layers of one network or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.conditions_table import conditions_table
from cwda.figures.drawing.margins_axis import margins_axis
from cwda.figures.drawing.style import (
    CYCLE,
    DARK,
    FONT,
    LINES,
    TEXT_WIDTH,
    legend_above,
    message,
    style_ticks,
)
from cwda.figures.drawing.tables import unique
from cwda.figures.drawing.text import as_label, name_network, text_width
from cwda.formatting import many

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layer_effects"]

#: Networks that can be told apart in one picture.
MOST = 4

#: Height of a condition, and of each network in it, in mm.
_ROW, _NETWORK = 4.0, 4.0

#: What the boxes of a condition take of its height.
_SHARE = 0.8


def layer_effects(source: object, *, ax: Axes | None = None) -> Axes:
    """Effects of all conditions in the layers of one network or several, in margins.

    Each tick is a layer. The widest box spans the middle half of the layers, the next ones the
    middle three quarters, seven eighths and so on, as far as there are enough layers (letter
    values); the bar is the median. Left of the dashed line effects are negligible. The axis is
    linear around 0 and logarithmic beyond one margin.

    Parameters
    ----------
    source : CheckResult or DataFrame
        What `cwda.check` returns, or its table, of at most four networks.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the conditions need, by default.

    Raises
    ------
    CwdaError
        If it is not such a table, is empty, or holds more networks.

    References
    ----------
    Hofmann, Wickham and Kafadar (2017), Letter-value plots: boxplots for large data, Journal of
    Computational and Graphical Statistics 26, 469-477.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.check(["resnet20-cifar10:init", "resnet20-cifar10"], ["mean", "epsilon"])
    >>> ax = cwda.figures.layer_effects(res)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['mean', 'epsilon']
    """
    table = conditions_table(source, "reason", several=True)
    if "network" not in table.columns:
        table = table.assign(network="")
    networks, conditions = unique(table["network"]), unique(table["condition"])
    if len(networks) > MOST:
        raise CwdaError(
            f"the table holds {len(networks)} networks; the figure tells {MOST} apart, and "
            "figures.overview(result.network) shows more"
        )
    tested = table.dropna(subset=["effect"])
    tested = tested.assign(margins=tested["effect"] / tested["margin"])
    several = len(networks) > 1
    margins = Margins(left=5 + text_width(conditions), top=11 if several else 7)
    height = len(conditions) * (_ROW + _NETWORK * len(networks)) + margins.bottom + margins.top
    with canvas(ax, TEXT_WIDTH, height, margins) as ax:
        if tested.empty:
            return message(ax, f"No layer can be tested: {table['reason'].iloc[0]}")
        margins_axis(ax, float(tested["margins"].min()), float(tested["margins"].max()))
        _draw(ax, tested, networks, conditions)
        ax.axvline(1, color=DARK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=0)
        ax.set_xlabel(
            "effect in a layer, in multiples of the margin (dashed; beyond it logarithmic)"
        )
        layers = many(table.groupby("network")["layer"].nunique().max(), "layer")
        if several:
            legend_above(ax, MOST)
        else:
            name_network(ax, table, layers)
        return ax


def _draw(ax: Axes, tested: pd.DataFrame, networks: list[str], conditions: list[str]) -> None:
    """Boxes of letter values under one tick per layer."""
    import seaborn as sns

    sns.boxenplot(
        tested, x="margins", y="condition", order=conditions, hue="network", hue_order=networks,
        palette=list(CYCLE[: len(networks)]), width=_SHARE, gap=0.2, alpha=0.35, linewidth=0,
        line_kws={"color": DARK, "linewidth": 1.4, "alpha": 1}, showfliers=False, legend=False,
        ax=ax,
    )  # fmt: skip
    places = {name: place for place, name in enumerate(conditions)}
    for place, (colour, network) in enumerate(zip(CYCLE, networks, strict=False)):
        own = tested[tested["network"] == network]
        row = _SHARE * ((place + 0.5) / len(networks) - 0.5)  # where seaborn puts its boxes
        ax.plot(
            own["margins"], own["condition"].map(places) + row, "|", color=colour, markersize=6,
            markeredgewidth=0.7, alpha=0.8, zorder=1,
        )  # fmt: skip
        ax.plot([], [], "s", color=colour, markersize=4, label=as_label(network))
    ax.set_ylabel("")
    ax.set_yticks(range(len(conditions)), conditions, fontfamily=FONT)
    style_ticks(ax)
    ax.tick_params(axis="y", length=0)
    for place in range(len(conditions) - 1):
        ax.axhline(place + 0.5, color=LINES, linewidth=0.3, zorder=0)
