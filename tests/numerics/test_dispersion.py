import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.numerics.pairs.kernels import pair_kernels
from cwda.numerics.ranking.dispersion import (
    Overlap,
    overlap_of_halves,
    scale_dispersion,
    tau_squared,
)


def disperse(even, odd, alpha=0.05):
    """With channels that do not correlate."""
    return scale_dispersion(even, odd, Overlap(0.0, np.zeros(len(even)), 0.0), alpha)


def halves(n, sd, seed, half=72):
    rng = np.random.default_rng(seed)
    s = np.exp(sd * rng.standard_normal(n))
    return s**2 * rng.chisquare(half, n), s**2 * rng.chisquare(half, n)


def test_equals_the_formulas_by_loops():
    even, odd = halves(20, 0.2, 1)
    a, b = np.log(even), np.log(odd)
    found = disperse(even, odd)
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
    assert found.low == pytest.approx(low, rel=1e-9, abs=1e-12)
    assert found.high == pytest.approx(max(found.estimate, 0) + high - found.estimate, rel=1e-9)


def test_estimate_is_the_variance_of_the_log_scale():
    estimates = [disperse(*halves(40, 0.25, seed)).estimate for seed in range(500)]
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 0.25**2) < 4 * error


@pytest.mark.parametrize(("sd", "lowest"), [(0.0, 0.85), (0.1, 0.85), (0.4, 0.85)])
def test_coverage_of_the_interval(sd, lowest):
    hits = 0
    for seed in range(400):
        found = disperse(*halves(32, sd, seed))
        hits += found.low <= sd**2 <= found.high
    assert lowest <= hits / 400 <= 0.99


def test_identical_halves_do_not_break_the_test():
    even, _ = halves(16, 0.3, 0)
    found = disperse(even, even)
    assert found.pvalue < 1e-10
    assert found.low > 0


def test_tail_below_the_range_of_float64():
    # The power series of the incomplete beta function, term by term in logarithms.
    n = 1002
    rng = np.random.default_rng(0)
    even = np.exp(rng.standard_normal(n))
    found = disperse(even, even * np.exp(1e-4 * rng.standard_normal(n)))
    freedom, t = n - 2, found.statistic
    x = freedom / (freedom + t * t)
    series = sum(
        math.exp(math.lgamma(k + 0.5) - math.lgamma(0.5) - math.lgamma(k + 1))
        * x**k
        / (freedom / 2 + k)
        for k in range(40)
    )
    beta = math.lgamma(freedom / 2) + math.lgamma(0.5) - math.lgamma(freedom / 2 + 0.5)
    log = freedom / 2 * math.log(x) + math.log(series) - beta - math.log(2)
    assert found.pvalue == 0
    assert found.log10_pvalue == pytest.approx(log / math.log(10), rel=1e-9)


def test_overlap_equals_loops():
    rng = np.random.default_rng(4)
    f = rng.standard_normal((9, 4, 3)) + 0.5 * rng.standard_normal((9, 1, 1))

    def overlap(f):
        n, parts = len(f), []
        for part in (f[:, ::2].reshape(len(f), -1), f[:, 1::2].reshape(len(f), -1)):
            gram = part @ part.T
            np.fill_diagonal(gram, 0)
            r, total = gram.sum(1), gram.sum()
            centred = gram - (r[:, None] + r[None]) / (n - 2) + total / ((n - 1) * (n - 2))
            np.fill_diagonal(centred, 0)
            parts.append(centred)
        u = (parts[0] * parts[1]).sum() / (n * (n - 3))
        even, odd = (f[:, ::2] ** 2).sum((1, 2)), (f[:, 1::2] ** 2).sum((1, 2))
        d = np.mean([even[i] * odd[j] for i in range(n) for j in range(n) if i != j])
        return u / (2 * d)

    halves = pair_kernels(torch.from_numpy(f), ["halves"]).halves.numpy()
    even, odd = (f[:, ::2] ** 2).sum((1, 2)), (f[:, 1::2] ** 2).sum((1, 2))
    found = overlap_of_halves(even, odd, halves.sum(1), (halves**2).sum())
    assert found.value == pytest.approx(overlap(f), rel=1e-9)
    # Without filter i the Gram matrices stay centred by all filters: the mean is close.
    without = [overlap(np.delete(f, i, axis=0)) for i in range(9)]
    assert found.without.mean() == pytest.approx(np.mean(without), rel=0.2)


def test_correlated_channels_are_no_difference_of_scale():
    rng = np.random.default_rng(0)
    plain, found = [], []
    for _ in range(60):
        f = rng.standard_normal((64, 32, 1)) + 0.7 * rng.standard_normal((64, 1, 1))
        halves = pair_kernels(torch.from_numpy(f), ["halves"]).halves.numpy()
        even, odd = (f[:, ::2] ** 2).sum((1, 2)), (f[:, 1::2] ** 2).sum((1, 2))
        overlap = overlap_of_halves(even, odd, halves.sum(1), (halves**2).sum())
        plain.append(disperse(even, odd).low > 0)
        found.append(scale_dispersion(even, odd, overlap, 0.05).low > 0)
    assert np.mean(plain) > 0.9
    assert np.mean(found) < 0.1


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
