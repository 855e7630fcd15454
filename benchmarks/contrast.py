"""Intervals of `cwda.contrast` on simulated pairs of networks whose true changes are known.

Run with ``python -m benchmarks.contrast [PAIRS]``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import torch
from scipy import stats

import cwda
from cwda.layers import Network

Pair = tuple[list[torch.Tensor], list[torch.Tensor]]

#: Filters and channels of ten layers of different sizes.
TEN = [(16, 3), (16, 16), (16, 16), (32, 16), (32, 32), (32, 32), (64, 32), (32, 16), (16, 8)]
TEN += [(64, 16)]
FIVE = [(24, 16)] * 5
EIGHT = [(24, 16)] * 8


def main(count: int) -> None:
    """Print a row of the table in docs/contrast.md for each design."""
    print("| pairs | layers | an interval without the truth | *differs* | median r |")
    print("|---|---|---|---|---|")
    for words, shapes, draw in designs():
        print(f"| {words} | {len(shapes)} | {measured(shapes, draw, count)} |", flush=True)


def designs() -> list[tuple[str, list[tuple[int, int]], Callable[[list[tuple[int, int]]], Pair]]]:
    """Every true change is 0, but where the second network is smoother."""
    return [
        ("smooth, correlation .995", FIVE, lambda s: near(smooth(s), smooth(s), 0.995)),
        ("smooth, correlation .5", FIVE, lambda s: near(smooth(s), smooth(s), 0.5)),
        ("smooth, correlation .8", FIVE, lambda s: near(smooth(s), smooth(s), 0.8)),
        ("smooth, 5 layers the same, 3 drawn apart", EIGHT, lambda s: partly(s, 5, 0.0)),
        ("smooth, 2 layers the same, 6 of correlation .95", EIGHT, lambda s: partly(s, 2, 0.95)),
        ("smoother, correlation .9", [(32, 16)] * 10, smoother),
        ("smooth, correlation .95", TEN, lambda s: near(smooth(s), smooth(s), 0.95)),
        ("normal weights, drawn apart", TEN, lambda s: (normal(s), normal(s))),
        ("smooth weights, drawn apart", TEN, lambda s: (smooth(s), smooth(s))),
    ]


def measured(
    shapes: list[tuple[int, int]], draw: Callable[[list[tuple[int, int]]], Pair], count: int
) -> str:
    """How often an interval misses the truth, and how wide intervals are."""
    truth = changes(draw([(1500, channels) for _, channels in shapes])) if draw is smoother else {}
    missed = differ = rows = 0
    ratios = []
    for seed in range(count):
        torch.manual_seed(seed)
        first, second = (network(weights) for weights in draw(shapes))
        found = cwda.contrast(first, second, progress=False)
        bounds = [(row.difference_low, row.difference_high) for row in found]
        true = [truth.get(row.condition, 0.0) for row in found]
        missed += any(not low <= x <= high for (low, high), x in zip(bounds, true, strict=True))
        differ += sum(row.verdict == "differs" for row in found)
        rows += sum(row.verdict != "not applicable" for row in found)
        ratios += [row.correlation for row in found]
    low, high = stats.binomtest(missed, count).proportion_ci(method="exact")
    middle = sorted(ratios)[len(ratios) // 2]
    return f"{missed} of {count} ({low:.3f} to {high:.3f}) | {differ} of {rows} | {middle:.2f}"


def changes(pair: Pair) -> dict[str, float]:
    """The changes between two networks of so many filters that noise is small."""
    first, second = map(network, pair)
    found = cwda.contrast(first, second, CONTINUOUS, progress=False)
    return {row.condition: row.difference for row in found}


CONTINUOUS = ["gaussianity", "shape", "variance", "mean", "epsilon", "independence", "homogeneity"]


def network(weights: Sequence[torch.Tensor]) -> Network:
    return cwda.load({f"layer{at}.weight": each for at, each in enumerate(weights)})


def normal(shapes: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
    return [torch.randn(n, channels, 3, 3, dtype=torch.float64) for n, channels in shapes]


def smooth(shapes: Sequence[tuple[int, int]], more: float = 0.5) -> list[torch.Tensor]:
    """Weights that covary over positions and over channels."""
    return [
        x
        + more * torch.randn(n, channels, 1, 1, dtype=torch.float64)
        + 0.4 * torch.randn(n, 1, 3, 3, dtype=torch.float64)
        for (n, channels), x in zip(shapes, normal(shapes), strict=True)
    ]


def near(a: list[torch.Tensor], b: list[torch.Tensor], correlation: float) -> Pair:
    """The first, and a mixture of both of the same law."""
    rest = (1 - correlation**2) ** 0.5
    return a, [correlation * x + rest * y for x, y in zip(a, b, strict=True)]


def partly(shapes: list[tuple[int, int]], same: int, correlation: float) -> Pair:
    a, b = near(smooth(shapes), smooth(shapes), correlation)
    return a, a[:same] + b[same:]


def smoother(shapes: list[tuple[int, int]]) -> Pair:
    """The second covaries more over positions."""
    return near(smooth(shapes), smooth(shapes, more=1.5), 0.9)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
