"""The law of the Anderson-Darling statistic above p = .5, by simulation: half a minute.

python -m benchmarks.anderson_darling
"""

from __future__ import annotations

import numpy as np
import torch

from cwda.numerics.normality.anderson_darling import SHARES, SIZES
from cwda.numerics.normality.layers import marginals

CHUNK = 1 << 22
#: Values drawn for one n, in samples; never more samples than this.
VALUES, MOST_SAMPLES = 256_000_000, 4_000_000


def statistics(n: int) -> np.ndarray:
    """A*^2 of normal samples of n values, mean and variance estimated."""
    rng = np.random.default_rng([20260, n])
    draws, found = min(MOST_SAMPLES, VALUES // n), []
    for start in range(0, draws, size := CHUNK // n):
        rows = rng.standard_normal((min(size, draws - start), n), dtype=np.float32)
        tested = marginals(torch.from_numpy(rows), ["anderson_darling"])
        assert tested.anderson_darling_adjusted is not None
        found.append(tested.anderson_darling_adjusted.numpy())
    return np.concatenate(found)


def main() -> None:
    for n in SIZES:
        row = ", ".join(f"{a:.4f}" for a in np.quantile(statistics(n), SHARES))
        print(f"    ({row}),  # {n}", flush=True)


if __name__ == "__main__":
    main()
