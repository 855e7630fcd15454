"""Figures of several panels, as a page has room for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cwda import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cwda.comparison import Comparison
    from cwda.layers import ConvLayer

__all__ = ["covariance_panels", "layer_panels", "panels_of", "scatter_panels"]


def _grid(draw: Sequence[Callable[[Axes], object]], columns: int, height: float) -> Figure:
    """A figure with a panel for each function, `height` mm a row."""
    from cwda.figures.drawing.style import TEXT_WIDTH, empty_figure, styled

    rows = math.ceil(len(draw) / columns)
    whole = height * rows
    figure = empty_figure(TEXT_WIDTH, whole)
    with styled():
        grid = figure.add_gridspec(
            rows,
            columns,
            left=15 / TEXT_WIDTH,
            right=1 - 9 / TEXT_WIDTH,
            top=1 - 8 / whole,
            bottom=12 / whole,
            wspace=0.4,
            hspace=0.42,
        )
        for place, panel in enumerate(draw):
            panel(figure.add_subplot(grid[divmod(place, columns)]))
    return figure


def panels_of(name: str, layers: Sequence[ConvLayer]) -> Figure:
    """A figure of single layers, by its name in `cwda.figures`, two to a row."""
    draw = getattr(figures, name)

    def panel(layer: ConvLayer) -> Callable[[Axes], object]:
        return lambda ax: draw(layer, ax=ax)

    return _grid([panel(layer) for layer in layers], 2, 62)


def covariance_panels(layers: Sequence[ConvLayer]) -> Figure:
    """Images of F F^T of layers, two a row."""

    def panel(layer: ConvLayer) -> Callable[[Axes], object]:
        return lambda ax: figures.covariance(layer, ax=ax)

    return _grid([panel(layer) for layer in layers], 2, 72)


def scatter_panels(comparison: Comparison, pairs: Sequence[tuple[str, str]], rung: str) -> Figure:
    """Measured against predicted coefficients, a panel a pair, two a row."""

    def panel(pair: tuple[str, str]) -> Callable[[Axes], object]:
        return lambda ax: figures.predicted_measured(comparison, pair, rung, ax=ax)

    return _grid([panel(pair) for pair in pairs], 2, 76)


def layer_panels(layer: ConvLayer) -> Figure:
    """Covariance image, Q-Q plot, and histograms of the norms of one layer."""

    def histogram(criterion: str) -> Callable[[Axes], object]:
        return lambda ax: figures.score_histogram(layer, criterion=criterion, ax=ax)

    return _grid(
        [
            lambda ax: figures.covariance(layer, ax=ax),
            lambda ax: figures.qq(layer, ax=ax),
            histogram("l1"),
            histogram("l2"),
        ],
        2,
        66,
    )
