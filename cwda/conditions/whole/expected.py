"""How many layers would hold, fail or stay inconclusive in a network that obeys CWDA exactly."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cwda.conditions.results import ConditionResult

__all__ = ["LEVEL", "expected_counts"]

#: The table is made for this level of the intervals, and for the margins that it states.
LEVEL = 0.90

TABLE = Path(__file__).with_name("expected.csv")

Array = npt.NDArray[np.float64]


def expected_counts(
    rows: Sequence[ConditionResult], channels: Mapping[str, tuple[int, int]], level: float
) -> tuple[float, float, float]:
    """Expected numbers of layers that hold, fail and are inconclusive, every effect being 0.

    Looked up in a table of simulated layers of i.i.d. normal weights, between whose sizes it is
    interpolated in the logarithms of filters and channels; beyond them, the nearest counts.

    Parameters
    ----------
    rows : sequence of ConditionResult
        Rows of one network and condition with a verdict.
    channels : mapping of str to (int, int)
        Channels and positions of a kernel, by the name of the layer.
    level : float
        Confidence of the intervals.

    Returns
    -------
    tuple of float
        NaN where the level, the margin, the condition or the scale is not that of the table.
    """
    key = rows[0].condition, rows[0].margin
    as_stored = rows[0].scale == "raw"
    if not (as_stored and math.isclose(level, LEVEL) and key in _tables()):
        return math.nan, math.nan, math.nan
    holds = fails = 0.0
    for row in rows:
        shares = _looked_up(key, row.n_filters, *channels[row.layer])
        holds, fails = holds + float(shares[0]), fails + float(shares[1])
    return holds, fails, max(len(rows) - holds - fails, 0.0)


class _Grid:
    """Shares that hold and fail over filters and channels, at one size of the kernel."""

    def __init__(self, cells: Mapping[tuple[int, int], tuple[float, float]]) -> None:
        self.filters = sorted({n for n, _ in cells})
        self.channels = sorted({channels for _, channels in cells})
        shares = [[cells[n, channels] for channels in self.channels] for n in self.filters]
        self.shares = np.array(shares)

    def at(self, n: int, channels: int) -> Array:
        """Interpolated; sizes of which the condition says nothing have no part in it."""
        parts = _bracket(self.filters, n)
        corners = [
            (one * other, self.shares[i, j])
            for i, one in parts
            for j, other in _bracket(self.channels, channels)
        ]
        known = [(part, shares) for part, shares in corners if part and not np.isnan(shares).any()]
        total = sum(part for part, _ in known)
        if not total:
            return np.full(2, math.nan)
        return np.asarray(sum(part * shares for part, shares in known) / total)


def _bracket(places: Sequence[int], value: int) -> list[tuple[int, float]]:
    """The neighbours of a value among places, with their parts on a logarithmic scale."""
    logs = np.log(places)
    at = float(np.interp(math.log(max(value, 1)), logs, np.arange(len(places))))
    below = min(int(at), len(places) - 2) if len(places) > 1 else 0
    return [(below, 1 - (at - below)), (min(below + 1, len(places) - 1), at - below)]


@cache
def _tables() -> dict[tuple[str, float], dict[int, _Grid]]:
    cells: dict[tuple[str, float], dict[int, dict[tuple[int, int], tuple[float, float]]]]
    cells = defaultdict(lambda: defaultdict(dict))
    with TABLE.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            size = int(line["n_filters"]), int(line["channels"])
            shares = float(line["holds"]), float(line["fails"])
            key = line["condition"], float(line["margin"])
            cells[key][int(line["kernel_size"])][size] = shares
    return {
        key: {kernel: _Grid(found) for kernel, found in kernels.items()}
        for key, kernels in cells.items()
    }


@cache
def _looked_up(key: tuple[str, float], n: int, channels: int, kernel_size: int) -> Array:
    grids = _tables()[key]
    nearest = min(grids, key=lambda known: abs(math.log(known) - math.log(max(kernel_size, 1))))
    # A kernel of one position is a kind of its own; all others are like one another.
    several = [known for known in grids if known > 1]
    grid = grids[nearest if kernel_size == 1 or not several else max(nearest, min(several))]
    return grid.at(n, channels)
