"""Pictures of the reproduction that no other room draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from cwda.experiment import ExperimentResult
from cwda.figures import accuracy_curves
from cwda.figures.drawing.canvas import Margins, Panels, panels
from cwda.figures.drawing.coefficients import MOST, fisher, unfisher
from cwda.figures.drawing.style import (
    DARK,
    GREY,
    LINES,
    SMALL,
    series_style,
    styled,
)
from cwda.figures.drawing.text import set_title
from cwda.formatting import number
from cwda.reproduction.bench import LayerScoring

__all__ = ["accuracies", "coefficients", "histograms"]

_BINS = 16
_TICKS = (-0.5, 0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


@styled()
def histograms(
    scores: LayerScoring,
    layers: Sequence[str],
    criteria: Sequence[str],
    range_of: Callable[[Tensor], float],
) -> Panels:
    """Histograms of the scores of some layers (rows) by some criteria (columns), with ranges."""
    flat = panels(
        len(layers) * len(criteria), len(criteria), height=38,
        margins=Margins(12, 3, 10, 8), gaps=(0.3, 0.75),
    )  # fmt: skip
    axes = flat.reshape(len(layers), len(criteria))
    for i, layer in enumerate(layers):
        for j, criterion in enumerate(criteria):
            ax, values = axes[i, j], scores[criterion][layer]
            colour, _ = series_style(j)
            ax.hist(values.numpy(), bins=_BINS, color=colour, alpha=0.75, linewidth=0)
            ax.set_xlim(left=min(0.0, float(values.min())))
            ax.locator_params(nbins=4)
            ax.text(
                0.03, 0.98, f"range {number(range_of(values))}", va="top", fontsize=SMALL,
                transform=ax.transAxes,
            )  # fmt: skip
            ax.margins(y=0.3)
            if i == len(layers) - 1:
                ax.set_xlabel(criterion)
            if j == 0:
                ax.set_ylabel("filters")
                set_title(ax, layer, "")
    return flat.view(Panels)


@styled()
def accuracies(results: Sequence[tuple[str, ExperimentResult]], strategy: str) -> Panels:
    """Accuracy against ratio, a panel per network, with one legend."""
    axes = panels(len(results), 2, height=66, margins=Margins(13, 33, 11, 8), gaps=(0.24, 0.42))
    for place, (title, result) in enumerate(results):
        ax = accuracy_curves(result, strategy, ax=axes[place])
        set_title(ax, title, "")
        ax.set_ylim(0, 100)
        if place % 2:
            ax.set_ylabel("")
        legend = ax.get_legend()
        if legend is not None and place != min(1, len(results) - 1):
            legend.remove()
    return axes


@styled()
def coefficients(
    networks: Sequence[tuple[str, Mapping[str, Sequence[float]], Sequence[int]]],
) -> Panels:
    """Spearman's coefficient along the depth of each network.

    Parameters
    ----------
    networks : sequence
        For each its title, by pair of criteria the coefficient of each layer, and the places of
        the transition layers.
    """
    axes = panels(
        len(networks), 2, height=58, margins=Margins(13, 33, 11, 8), gaps=(0.24, 0.48)
    )  # fmt: skip
    pairs = list(dict.fromkeys(pair for _, rows, _ in networks for pair in rows))
    values = [value for _, rows, _ in networks for row in rows.values() for value in row]
    lowest = min([0.8, *(value for value in values if np.isfinite(value))])
    for place, (title, rows, transitions) in enumerate(networks):
        ax = axes[place]
        ax.set_yscale("function", functions=(fisher, unfisher))
        ax.axhline(0.9, color=GREY, linewidth=0.6, zorder=0)
        for at in transitions:
            ax.axvline(at, color=LINES, linewidth=2.5, zorder=0)
        for pair, row in rows.items():
            colour, marker = series_style(pairs.index(pair))
            ax.plot(
                range(len(row)), np.minimum(row, MOST), color=colour, marker=marker, markersize=2.2,
                linewidth=0.8,
            )  # fmt: skip
        ax.set_ylim(max(-0.9, lowest - 0.05), MOST)
        ax.set_yticks([tick for tick in _TICKS if tick > lowest - 0.05])
        ax.set_yticklabels([number(tick) for tick in ax.get_yticks()])
        ax.set_xlabel("layer, from the input on")
        ax.set_ylabel("" if place % 2 else "Sp")
        ax.minorticks_off()
        set_title(ax, title, "")
    _legend(axes[min(1, len(axes) - 1)], pairs)
    return axes


def _legend(ax: Axes, pairs: Sequence[str]) -> None:
    handles = []
    for place, pair in enumerate(pairs):
        colour, marker = series_style(place)
        handles.append(
            Line2D([], [], color=colour, marker=marker, markersize=3, linewidth=0.8, label=pair)
        )
    handles.append(Line2D([], [], color=LINES, linewidth=2.5, label="transition layer"))
    handles.append(Line2D([], [], color=GREY, linewidth=0.6, label=".9"))
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0,
        fontsize=SMALL, labelcolor=DARK,
    )  # fmt: skip
