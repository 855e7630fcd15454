"""An axis of effects in multiples of their margins: linear around 0, logarithmic beyond 1."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

__all__ = ["margins_axis"]

_TICKS = (-300, -100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000)


def margins_axis(ax: Axes, low: float, high: float) -> None:
    """Scale the x axis, with room for values from low to high and for one margin at least."""
    low, high = min(low, 0.0), max(high, 1.5)
    ax.set_xscale("asinh", linear_width=1.0)
    ax.set_xlim(low * 1.1 - 0.05, high * 1.2)
    ticks = [tick for tick in _TICKS if low * 1.1 <= tick <= high * 1.2]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
