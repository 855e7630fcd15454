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


def in_halves(f):
    return [f[:, parity::2].reshape(len(f), -1) for parity in (0, 1)]


def overlap(f):
    kernels = pair_kernels(torch.from_numpy(f), ["halves"])
    halves, energy = kernels.halves.numpy(), [(part**2).sum(1) for part in in_halves(f)]
    return energy, overlap_of_halves(
        *energy, halves.sum(1), (halves**2).sum(), kernels.projections.numpy()
    )


def overlap_by_loops(f):
    n, centred, along = len(f), [], []
    for part in in_halves(f):
        gram = part @ part.T
        np.fill_diagonal(gram, 0)
        r, total = gram.sum(1), gram.sum()
        h = gram - (r[:, None] + r[None]) / (n - 2) + total / ((n - 1) * (n - 2))
        np.fill_diagonal(h, 0)
        centred.append(h)
        along.append([part[i] @ np.delete(part, i, 0).mean(0) for i in range(n)])
    u = (centred[0] * centred[1]).sum() / (n * (n - 3))
    t = np.cov(*along)[0, 1] * ((n - 1) / (n - 2)) ** 2 - u / (n - 2)
    even, odd = ((part**2).sum(1) for part in in_halves(f))
    d = np.mean([even[i] * odd[j] for i in range(n) for j in range(n) if i != j])
    return (u / 2 + t) / d


@pytest.mark.parametrize("mean", [0.0, 0.7, 3.0])
def test_overlap_equals_loops(mean):
    rng = np.random.default_rng(4)
    f = rng.standard_normal((16, 5, 3)) + 0.5 * rng.standard_normal((16, 1, 1))
    f += mean * rng.standard_normal((5, 3))
    _, found = overlap(f)
    assert found.value == pytest.approx(overlap_by_loops(f), rel=1e-9, abs=1e-12)
    # Without filter i the Gram matrices stay centred by all filters: the spread is close.
    without = [overlap_by_loops(np.delete(f, i, axis=0)) for i in range(16)]
    assert found.without.std() == pytest.approx(np.std(without), rel=0.1)


def test_overlap_with_a_mean_has_no_bias():
    rng = np.random.default_rng(2)
    mean, found = 0.7 * rng.standard_normal((4, 3)), []
    for _ in range(1500):
        f = rng.standard_normal((10, 4, 3)) + 0.8 * rng.standard_normal((10, 1, 3)) + mean
        energy, each = overlap(f)
        d = (energy[0].sum() * energy[1].sum() - energy[0] @ energy[1]) / 90
        found.append(each.value * d)
    # Sigma_eo is .64 in the same position, for two channels by two
    expected = 0.64**2 * 12 / 2 + 0.64 * mean[::2].sum(0) @ mean[1::2].sum(0)
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / math.sqrt(1500)


@pytest.mark.parametrize(("loading", "mean"), [(0.7, 0.0), (0.3, 1.0)])
def test_correlated_channels_are_no_difference_of_scale(loading, mean):
    rng = np.random.default_rng(0)
    plain, found = [], []
    for _ in range(60):
        f = rng.standard_normal((64, 32, 1)) + loading * rng.standard_normal((64, 1, 1))
        energy, each = overlap(f + mean)
        plain.append(disperse(*energy).low > 0)
        found.append(scale_dispersion(*energy, each, 0.05).low > 0)
    assert np.mean(plain) > 0.9
    assert np.mean(found) < 0.1


def test_scales_stay_scales_where_filters_have_a_mean():
    rng = np.random.default_rng(3)
    found = []
    for _ in range(100):
        scale = np.exp(0.25 * rng.standard_normal((64, 1, 1)))
        energy, each = overlap(scale * (0.2 + rng.standard_normal((64, 16, 9))))
        found.append(scale_dispersion(*energy, each, 0.05).estimate)
    assert abs(np.mean(found) - 0.25**2) < 4 * np.std(found) / 10


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
