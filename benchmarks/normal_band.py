"""The local levels of `cwda.numerics.normality.normal_band`, by simulation: a minute or two.

python -m benchmarks.normal_band
"""

from __future__ import annotations

import numpy as np
from scipy import special

from cwda.numerics.normality.normal_band import FEWEST, LEVEL

CHUNK = 1 << 21


def smallest_tail(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Smallest two-sided tail probability of any order statistic, one a draw."""
    ranks = np.arange(1, n + 1)
    if n > 2048:  # neighbours in the middle say the same
        low = np.unique(np.geomspace(1, n // 2, 700).round().astype(int))
        ranks = np.unique(np.concatenate([low, n + 1 - low]))
    found = []
    for start in range(0, draws, size := max(1, CHUNK // n)):
        x = np.sort(rng.standard_normal((min(size, draws - start), n)), axis=1)
        z = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, ddof=1, keepdims=True)
        z = z[:, ranks - 1]
        lower = special.betainc(ranks, n + 1 - ranks, special.ndtr(z))
        upper = special.betainc(n + 1 - ranks, ranks, special.ndtr(-z))
        found.append(2 * np.minimum(lower, upper).min(axis=1))
    return np.concatenate(found)


def main() -> None:
    rng = np.random.default_rng(20240)
    for power in range(FEWEST.bit_length() - 1, 18):
        draws = 20_000 if power <= 10 else 6_000 if power <= 14 else 2_000
        level = np.quantile(smallest_tail(1 << power, draws, rng), 1 - LEVEL)
        print(f"2^{power:<3} {level:.3g}", flush=True)


if __name__ == "__main__":
    main()
