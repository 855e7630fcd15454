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

__all__ = ["covariance_panels", "layer_panels", "qq_panels", "scatter_panels"]

#: Width of the text in inches.
WIDTH = 6.3


def _grid(draw: Sequence[Callable[[Axes], object]], columns: int, height: float) -> Figure:
    """A figure with a panel for each function, `height` inches a row."""
    from cwda.figures.style import empty_figure

    rows = math.ceil(len(draw) / columns)
    figure = empty_figure(25.4 * WIDTH, 25.4 * height * rows)
    grid = figure.add_gridspec(
        rows, columns, wspace=0.35, hspace=0.45, left=0.08, right=0.98, top=0.95, bottom=0.08
    )
    for place, panel in enumerate(draw):
        panel(figure.add_subplot(grid[divmod(place, columns)]))
    return figure


def qq_panels(layers: Sequence[ConvLayer]) -> Figure:
    """Q-Q plots of layers, two a row."""

    def panel(layer: ConvLayer) -> Callable[[Axes], object]:
        return lambda ax: figures.qq(layer, ax=ax)

    return _grid([panel(layer) for layer in layers], 2, 2.6)


def covariance_panels(layers: Sequence[ConvLayer]) -> Figure:
    """Images of F F^T of layers, two a row."""

    def panel(layer: ConvLayer) -> Callable[[Axes], object]:
        return lambda ax: figures.covariance(layer, ax=ax)

    return _grid([panel(layer) for layer in layers], 2, 2.9)


def scatter_panels(comparison: Comparison, pairs: Sequence[tuple[str, str]], rung: str) -> Figure:
    """Measured against predicted coefficients, a panel a pair, two a row."""

    def panel(pair: tuple[str, str]) -> Callable[[Axes], object]:
        return lambda ax: figures.predicted_measured(comparison, pair, rung, ax=ax)

    return _grid([panel(pair) for pair in pairs], 2, 3.0)


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
        2.8,
    )
