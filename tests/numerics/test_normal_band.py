from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.normal_band import smallest_tail
from cwda.numerics.normality.normal_band import FEWEST, local_level, normal_band


@pytest.mark.parametrize("n", [8, 30, 144, 1000])
def test_normal_samples_stay_within_the_band_at_95_percent(n):
    """4,000 samples: the share has standard error .0034."""
    draws = 4000
    z = np.sort(np.random.default_rng(n).standard_normal((draws, n)), axis=1)
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, ddof=1, keepdims=True)
    low, high = normal_band(n, np.arange(1, n + 1))
    assert ((z >= low) & (z <= high)).all(axis=1).mean() == pytest.approx(0.95, abs=0.0125)


def test_heavy_tails_leave_it():
    rng = np.random.default_rng(0)
    z = np.sort(rng.standard_t(4, (500, 300)), axis=1)
    z = (z - z.mean(axis=1, keepdims=True)) / z.std(axis=1, ddof=1, keepdims=True)
    low, high = normal_band(300, np.arange(1, 301))
    assert ((z < low) | (z > high)).any(axis=1).mean() > 0.9


def test_limits_are_quantiles_of_order_statistics():
    """Against scipy.stats.beta and norm."""
    n, ranks = 50, np.array([1, 7, 25, 50])
    low, high = normal_band(n, ranks)
    eta = local_level(n)
    law = stats.beta(ranks, n + 1 - ranks)
    np.testing.assert_allclose(low, stats.norm.ppf(law.ppf(eta / 2)), rtol=1e-9)
    np.testing.assert_allclose(high, stats.norm.ppf(law.ppf(1 - eta / 2)), rtol=1e-9)


def test_the_band_is_symmetric_and_finite_for_millions():
    n = 3_000_000
    ranks = np.array([1, 2, 1000, n // 2, n - 999, n - 1, n])
    low, high = normal_band(n, ranks)
    assert np.isfinite(low).all()
    np.testing.assert_allclose(low[[0, 1, 2]], -high[[6, 5, 4]], rtol=1e-9)


def test_table_agrees_with_its_simulation():
    level = np.quantile(smallest_tail(64, 8000, np.random.default_rng(5)), 0.05)
    assert local_level(64) == pytest.approx(level, rel=0.08)


def test_levels_fall_with_n():
    levels = [local_level(n) for n in (FEWEST, 20, 100, 10**4, 10**6)]
    assert levels == sorted(levels, reverse=True)
