"""How often each verdict falls on layers of i.i.d. normal weights, for `network.expected_holds`.

``python -m benchmarks.expected_counts`` writes cwda/conditions/whole/expected.csv anew: default
margins, level .90, one row per condition and size; NaN where a condition is not applicable. The
seed of a layer is made of its size and number, so that the order of the work does not matter.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import cwda
from cwda.conditions import BUILT_IN
from cwda.layers import ConvLayer

TABLE = Path(cwda.__file__).parent / "conditions" / "whole" / "expected.csv"
FILTERS = (8, 16, 32, 64, 128, 256)
CHANNELS = (1, 2, 4, 16, 64, 256)
KERNEL_SIZES = (1, 9)
HEAD = ("condition", "margin", "n_filters", "channels", "kernel_size")
HEAD += ("holds", "fails", "replicates")

#: Large layers hold or fail nearly always, so that fewer of them tell as much.
WEIGHTS, FEWEST, MOST = 2_000_000, 20, 200


def replicates(n: int, channels: int, kernel_size: int) -> int:
    """How many layers of a size are drawn."""
    return min(max(WEIGHTS // (n * channels * kernel_size), FEWEST), MOST)


def rows() -> Iterator[tuple[object, ...]]:
    """The rows of the table."""
    for kernel_size in KERNEL_SIZES:
        for n in FILTERS:
            for channels in CHANNELS:
                yield from _size(n, channels, kernel_size)


def _size(n: int, channels: int, kernel_size: int) -> Iterator[tuple[object, ...]]:
    counts: Counter[tuple[str, str]] = Counter()
    total = replicates(n, channels, kernel_size)
    side = math.isqrt(kernel_size)
    for replicate in range(total):
        rng = np.random.default_rng([1, n, channels, kernel_size, replicate])
        weight = torch.from_numpy(rng.normal(size=(n, channels, side, side)).astype("float32"))
        layer = ConvLayer("layer", weight)
        result = cwda.check(layer, BUILT_IN, device="cpu", progress=False)
        counts.update((row.condition, row.verdict) for row in result)
    for condition in BUILT_IN:
        judged = total - counts[condition.name, "not applicable"]
        shares = [
            f"{counts[condition.name, verdict] / judged:.3f}" if judged else "nan"
            for verdict in ("holds", "fails")
        ]
        yield (condition.name, condition.margin, n, channels, kernel_size, *shares, total)


def main() -> None:
    """Write the table."""
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEAD)
        for row in rows():
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()
