"""Verdicts on the conditions: all at a glance, and one with its intervals."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Patch

from cwda.figures.drawing.glyphs import write_many
from cwda.figures.drawing.heat import cell_text_size, gap, undefined_background
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import DARK, GREY, TEXT_WIDTH, VERDICTS, canvas, legend_above, say
from cwda.figures.drawing.tables import choose, tidy, unique
from cwda.figures.matrices import three_digits

__all__ = ["effects", "overview"]

_MADE_BY = "cwda.check(...)"
_COLUMNS = ("layer", "condition", "effect", "effect_low", "effect_high", "margin", "verdict")


def overview(source: object, ax: Axes | None = None) -> Axes:
    """All verdicts of a network: layers by conditions, with the effect and the verdict's mark.

    The colours differ in lightness: light holds, middle inconclusive, dark fails, hatched not
    applicable. Where rows are too low for numbers, a dot stands for the effect: at the left
    edge of the cell 0, in the middle the margin, at the right edge twice the margin or more.

    Parameters
    ----------
    source : CheckResult or DataFrame
        What `cwda.check` returns, or its table.
    ax : Axes, optional
        Where to draw; a new figure of 160 mm, as high as the layers need, by default.

    Raises
    ------
    CwdaError
        If it is no such table, empty, or holds several networks.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import overview
    >>> ax = overview(cwda.check(cwda.load("resnet20-cifar10").select("layer3.*")))
    >>> [label.get_text() for label in ax.get_xticklabels()][:2]
    ['gaussianity\\nmargin .050', 'variance\\nmargin .500']
    """
    table = tidy(source, _COLUMNS, _MADE_BY)
    layers, conditions = unique(table["layer"]), unique(table["condition"])
    shape = len(layers), len(conditions)
    rows = table["layer"].map({name: i for i, name in enumerate(layers)}).to_numpy()
    columns = table["condition"].map({name: j for j, name in enumerate(conditions)}).to_numpy()
    known = [*VERDICTS][:-1]
    ranks = np.full(shape, np.nan)
    effects_, margins_ = np.full(shape, np.nan), np.full(shape, np.nan)
    ranks[rows, columns] = [known.index(v) if v in known else np.nan for v in table["verdict"]]
    effects_[rows, columns], margins_[rows, columns] = table["effect"], table["margin"]
    space = layer_margins(layers, bottom=7, top=13)
    with canvas(ax, TEXT_WIDTH, tall(shape[0]) + space.bottom + space.top, space) as ax:
        undefined_background(ax)
        ax.pcolormesh(
            np.ma.masked_invalid(ranks),
            cmap=ListedColormap([VERDICTS[name].fill for name in known]),
            norm=BoundaryNorm(np.arange(len(known) + 1) - 0.5, len(known)),
            edgecolors="white",
            linewidth=gap(ax, shape[0]),
        )
        size = cell_text_size(ax, *shape, characters=7)
        at = list(zip(*np.nonzero(np.isfinite(ranks)), strict=True))
        styles = [VERDICTS[known[int(ranks[cell])]] for cell in at]
        if size:
            write_many(
                ax,
                [(j + 0.5, i + 0.5) for i, j in at],
                [
                    f"{three_digits(effects_[cell])} {style.mark}"
                    for cell, style in zip(at, styles, strict=True)
                ],
                size,
                [style.ink for style in styles],
            )
        elif at:
            ratio = np.clip(effects_ / margins_, 0, 2) / 2
            ax.scatter(
                [j + 0.04 + 0.92 * ratio[i, j] for i, j in at],
                [i + 0.5 for i, _ in at],
                s=2.5,
                c=[style.ink for style in styles],
                linewidths=0,
            )
        label_layers(ax, layers)
        names = [f"{name}\nmargin {_margin(margins_[:, j])}" for j, name in enumerate(conditions)]
        ax.set_xlim(0, shape[1])
        ax.set_xticks(np.arange(shape[1]) + 0.5, names)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        _verdict_legend(ax)
        return ax


def _margin(column: np.ndarray) -> str:
    there = np.unique(column[np.isfinite(column)])
    return three_digits(float(there[0])) if len(there) == 1 else "differs"


def _verdict_legend(ax: Axes) -> None:
    handles = [
        Patch(
            facecolor=style.fill,
            edgecolor=GREY,
            linewidth=0.4,
            hatch="" if style.mark != "–" else "/////",
            label=f"{style.mark} {name}",
        )
        for name, style in VERDICTS.items()
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        ncols=len(handles),
        borderaxespad=0.4,
        handlelength=1.4,
        columnspacing=1.5,
    )


def effects(source: object, condition: str, ax: Axes | None = None) -> Axes:
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
        If it is no such table, holds several networks, or lacks the condition.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import effects
    >>> res = cwda.check(cwda.load("resnet20-cifar10").select("layer3.*"), ["mean"])
    >>> effects(res, "mean").get_xlabel()
    'effect: mean; margin .100 (dashed)'
    """
    rows = choose(tidy(source, (*_COLUMNS, "reason"), _MADE_BY), "condition", condition)
    names = list(rows["layer"])
    space = layer_margins(names, top=9)
    with canvas(ax, TEXT_WIDTH, tall(len(names)) + space.bottom + space.top, space) as ax:
        if not rows["effect"].notna().any():
            return say(ax, f"No layer can be tested: {rows['reason'].iloc[0]}")
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
        ax.set_xlabel(f"effect: {condition}; margin {_margin(rows['margin'].to_numpy())} (dashed)")
        legend_above(ax, len(VERDICTS))
        return ax
