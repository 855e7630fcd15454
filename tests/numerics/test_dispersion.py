import math

import numpy as np
import pytest
from scipy import stats

from cwda.numerics.ranking.dispersion import scale_dispersion, tau_squared


def halves(n, sd, seed, half=72):
    rng = np.random.default_rng(seed)
    s = np.exp(sd * rng.standard_normal(n))
    return s**2 * rng.chisquare(half, n), s**2 * rng.chisquare(half, n)


def test_equals_the_formulas_by_loops():
    even, odd = halves(20, 0.2, 1)
    a, b = np.log(even), np.log(odd)
    found = scale_dispersion(even, odd, 0.05)
    assert found.estimate == pytest.approx(np.cov(a, b)[0, 1] / 4, rel=1e-10)
    # scipy.stats.pearsonr, alternative="greater", is the same one-sided t test
    expected = stats.pearsonr(a, b, alternative="greater")
    assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-8)

    def limits(x):
        logs = [np.log(np.var(np.delete(x, i), ddof=1)) for i in range(len(x))]
        n, v = len(x), np.var(x, ddof=1)
        spread = max((n - 1) / n * np.sum((logs - np.mean(logs)) ** 2), 2 / (n - 1))
        factor = math.exp(stats.t.ppf(0.95, n - 1) * math.sqrt(spread))
        return v, v / factor, v * factor

    vp, lp, up = limits((a + b) / 2)
    vm, lm, um = limits((a - b) / 2)
    low = (vp - vm - math.hypot(vp - lp, um - vm)) / 4
    high = (vp - vm + math.hypot(up - vp, vm - lm)) / 4
    assert found.low == pytest.approx(math.sqrt(max(low, 0)), rel=1e-9, abs=1e-12)
    assert found.high == pytest.approx(math.sqrt(high), rel=1e-9)


def test_estimate_is_the_variance_of_the_log_scale():
    estimates = [scale_dispersion(*halves(40, 0.25, seed), 0.05).estimate for seed in range(500)]
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 0.25**2) < 4 * error


@pytest.mark.parametrize(("sd", "lowest"), [(0.0, 0.85), (0.1, 0.85), (0.4, 0.85)])
def test_coverage_of_the_interval(sd, lowest):
    hits = 0
    for seed in range(400):
        found = scale_dispersion(*halves(32, sd, seed), 0.05)
        hits += found.low <= sd <= found.high
    assert lowest <= hits / 400 <= 0.99


def test_identical_halves_do_not_break_the_test():
    even, _ = halves(16, 0.3, 0)
    found = scale_dispersion(even, even, 0.05)
    assert found.pvalue < 1e-10
    assert found.low > 0


def test_tau_squared_equals_loops_and_is_unbiased_at_zero():
    rng = np.random.default_rng(2)
    values = []
    for _ in range(300):
        f = rng.standard_normal((16, 36))
        g = f @ f.T
        products = (g**2).sum() - (g.diagonal() ** 2).sum()
        values.append(tau_squared(g.diagonal(), products))
    q = g.diagonal()
    off = ~np.eye(16, dtype=bool)
    expected = np.mean(q**2) / (np.outer(q, q)[off].mean() + 2 * (g**2)[off].mean()) - 1
    assert values[-1] == pytest.approx(expected, rel=1e-10)
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(300)
