import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer
from cwda.numerics.pairs.kernels import pair_kernels
from cwda.numerics.pairs.moments import Estimate
from cwda.numerics.pairs.sums import KernelSums, kernel_sums
from cwda.numerics.pairs.tails import log_chi_square_tail, log_normal_tail
from cwda.numerics.pairs.ustatistics import infer, mean_energy, plain_estimate

from .loops import kernels as loop_kernels
from .loops import squared_trace


def draw(n, channels, k2, seed=0, mean=0.0):
    return np.random.default_rng(seed).standard_normal((n, channels, k2)) + mean


def kernel_of(blocks, name):
    return getattr(pair_kernels(torch.from_numpy(blocks)), name)


def reference(blocks, name, scale, alpha):
    """The formulas of the interval and the test, each leave-one-out value by its loop."""
    n = len(blocks)
    kernel = loop_kernels(blocks)[name]
    everyone = list(range(n))
    theta = scale * effect(blocks, name)
    without = np.array([scale * effect(np.delete(blocks, i, axis=0), name) for i in everyone])
    pairs = n * (n - 1) if name == "mean" else n * (n - 3)
    v0 = 2 * (kernel**2).sum() / pairs**2 * (scale / denominator(blocks, name)) ** 2
    v = max((n - 1) / n * ((without - without.mean()) ** 2).sum(), v0)
    b = (v - v0) / max(theta, math.sqrt(v0))
    t = stats.t.ppf(1 - alpha, n - 1)
    h, start = t * t * b / 2, max(theta, 0)
    root = math.sqrt(t * t * (v0 + b * start) + h * h)
    z = theta / math.sqrt(v0)
    gamma = 8 * np.trace(kernel @ kernel @ kernel) / (2 * (kernel**2).sum()) ** 1.5
    nu = 8 / gamma**2
    p = stats.chi2.sf(nu + z * math.sqrt(2 * nu), nu) if gamma > 0.001 else stats.norm.sf(z)
    low = max(theta + h - root, 0) if theta > 0 else 0
    return z, p, math.sqrt(start), math.sqrt(low), math.sqrt(start + h + root), theta


def effect(blocks, name):
    return numerator(blocks, name) / denominator(blocks, name)


def numerator(blocks, name):
    n, dim = len(blocks), blocks[0].size
    if name == "variance":
        positions = loop_kernels(blocks)["positions"].sum() / (n * (n - 3))
        return positions - squared_trace(blocks.reshape(n, -1)) / dim
    return loop_kernels(blocks)[name].sum() / (n * (n - 1) if name == "mean" else n * (n - 3))


def denominator(blocks, name):
    n = len(blocks)
    if name == "mean":
        return (blocks**2).sum() / n
    if name == "between":
        return loop_kernels(blocks)["positions"].sum() / (n * (n - 3))
    return squared_trace(blocks.reshape(n, -1))


def measure(blocks, name, scale=1.0, alpha=0.05):
    """The same by the code under test."""
    layer = ConvLayer("conv", torch.from_numpy(blocks))
    work = Workspace(layer, torch.device("cpu"), 1 - 2 * alpha)
    if name == "mean":
        sums = work.sums[name]
        estimate = plain_estimate(sums, centred=False)
        return infer(sums, estimate, work.mean_energy, scale, centred=False, alpha=alpha)
    over = {"over": work.squared_variances} if name == "between" else {}
    return work.second_order(name, scale, **over, details={})


@pytest.mark.parametrize("name", ["mean", "variance", "within", "between"])
@pytest.mark.parametrize("mean", [0.0, 0.4])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_formulas_by_loops(name, mean, seed):
    blocks = draw(9, 3, 4, mean=mean, seed=seed) * np.linspace(0.5, 1.5, 12).reshape(3, 4)
    found = measure(blocks, name, 1.7)
    got = [found.statistic, found.pvalue, found.effect, found.low, found.high, found.theta]
    np.testing.assert_allclose(got, reference(blocks, name, 1.7, 0.05), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("giant", [1.0, 30.0, 1e3, 1e6])
def test_cubes_by_factors_are_those_of_the_matrix(giant):
    """One filter much larger than the others: terms of its sixth power cancel."""
    rng = np.random.default_rng(47)
    factor = rng.standard_normal((300, 20))
    factor[7] *= giant
    gram = factor @ factor.T
    np.fill_diagonal(gram, 0)
    exact = gram.astype(np.longdouble)
    exact = float(((exact @ exact) * exact).sum())
    kernels, factors = {"mean": torch.from_numpy(gram)}, {"mean": torch.from_numpy(factor)}
    for found in (kernel_sums(kernels), kernel_sums(kernels, factors)):
        sums = found["mean"]
        assert abs(sums.cubes - exact) <= 1e-10 * sums.squares**1.5
        assert sums.squares == pytest.approx((gram**2).sum(), rel=1e-12)
        np.testing.assert_allclose(sums.rows, gram.sum(axis=1), rtol=1e-9, atol=1e-9 * giant)
    assert np.isnan(kernel_sums(kernels, cubes=False)["mean"].cubes)


@pytest.mark.parametrize("name", ["mean", "variance", "within", "between"])
def test_interval_contains_zero_exactly_when_the_statistic_is_below_t(name):
    """And the upper limit is never below that of an estimate of 0."""
    n, negative = 16, 0
    t = stats.t.ppf(0.95, n - 1)
    for seed in range(60):
        found = measure(draw(n, 4, 4, seed=seed, mean=0.05), name)
        assert (found.low == 0) == (found.statistic <= t)
        assert 0 <= found.low <= found.effect < found.high
        if found.theta <= 0:
            negative += 1
            at_zero = (found.theta / found.statistic) ** 2
            assert found.effect == 0
            assert found.high**2 >= t * math.sqrt(at_zero) * (1 - 1e-9)
    assert negative > 10


def test_a_kernel_of_rounding_has_no_effect_and_does_not_reject():
    sums, estimate = KernelSums(np.full(9, 1e-9), 1e-18, 0.0), Estimate(1e-10, np.full(9, 1e-10))
    found = infer(
        sums, estimate, mean_energy(np.ones(9)), 1.0, centred=False, alpha=0.05, rounding=1e-17
    )
    assert (found.effect, found.low, found.high, found.statistic, found.pvalue) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("freedom", [0.3, 2.0, 41.0, 1e4, 8e6])
@pytest.mark.parametrize("deviation", [0.5, 3.0, 30.0])
def test_logarithms_of_tails_are_those_of_scipy(freedom, deviation):
    x = freedom + deviation * math.sqrt(2 * freedom)
    expected = stats.chi2.logsf(x, freedom)
    assert log_chi_square_tail(freedom, x) == pytest.approx(expected, rel=1e-6)
    assert log_normal_tail(deviation) == pytest.approx(stats.norm.logsf(deviation), rel=1e-12)


@pytest.mark.parametrize(
    ("freedom", "x", "expected"),
    [
        # mpmath: log(gammainc(freedom / 2, x / 2, regularized=True)), 50 digits
        (3.0, 1e5, -49994.4693186203),
        (100.0, 5000.0, -2261.16770293685),
        (8e6, 8.2e6, -1234.38100965814),
    ],
)
def test_logarithms_of_tails_beyond_float64(freedom, x, expected):
    assert stats.chi2.sf(x, freedom) == 0
    assert log_chi_square_tail(freedom, x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["within", "between"])
def test_estimates_are_unbiased_under_a_mean(name):
    """Known truth: one pair of positions correlates, and the filters have a mean."""
    rng = np.random.default_rng(5)
    n, draws, covariance = 12, 1500, 0.6
    estimates = []
    first = 1 if name == "within" else 3
    for _ in range(draws):
        blocks = rng.standard_normal((n, 2, 3))
        flat = blocks.reshape(n, 6)
        flat[:, first] = covariance * flat[:, 0] + math.sqrt(1 - covariance**2) * flat[:, first]
        blocks += 0.5
        kernel = kernel_of(blocks, name)
        estimates.append(float(kernel.sum()) / (n * (n - 3)))
    error = np.std(estimates) / math.sqrt(draws)
    assert abs(np.mean(estimates) - 2 * covariance**2) < 4 * error


@pytest.mark.parametrize("name", ["mean", "variance", "within", "between"])
def test_size_under_the_null_hypothesis(name):
    """1,000 draws of isotropic Gaussian filters: standard error of the size .007 at .05."""
    rejected = sum(measure(draw(24, 3, 4, seed=seed), name).pvalue < 0.05 for seed in range(1000))
    assert 0.025 <= rejected / 1000 <= 0.08
