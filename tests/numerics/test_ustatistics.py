import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.numerics.pairs.kernels import pair_kernels
from cwda.numerics.pairs.sums import KernelSums, kernel_sums
from cwda.numerics.pairs.ustatistics import infer, mean_energy, mean_energy_product

from .loops import kernels as loop_kernels


def draw(n, channels, k2, seed=0, mean=0.0):
    return np.random.default_rng(seed).standard_normal((n, channels, k2)) + mean


def kernel_of(blocks, name):
    return getattr(pair_kernels(torch.from_numpy(blocks)), name)


def sums_of(blocks, name):
    return kernel_sums({name: kernel_of(blocks, name)})[name]


def reference(blocks, name, scale, alpha):
    """The formulas of the interval and the test, each leave-one-out value by its loop."""
    n = len(blocks)
    kernel = loop_kernels(blocks)[name]
    energy = (blocks**2).sum(axis=(1, 2))
    centred = name in ("within", "between", "total")

    def effect(kept):
        m = len(kept)
        pairs = m * (m - 3) if centred else m * (m - 1)
        u = kernel[np.ix_(kept, kept)].sum() / pairs
        q = energy[kept]
        if name == "mean":
            return scale * u / q.mean()
        return scale * u / np.mean([q[i] * q[j] for i in range(m) for j in range(m) if i != j])

    everyone = list(range(n))
    theta = effect(everyone)
    without = np.array([effect([k for k in everyone if k != i]) for i in everyone])
    pairs = n * (n - 3) if centred else n * (n - 1)
    d = scale * kernel.sum() / pairs / theta
    v0 = 2 * (kernel**2).sum() / pairs**2 * (scale / d) ** 2
    v = max((n - 1) / n * ((without - without.mean()) ** 2).sum(), v0)
    b = (v - v0) / max(theta, math.sqrt(v0))
    t = stats.t.ppf(1 - alpha, n - 1)
    h = t * t * b / 2
    root = math.sqrt(t * t * (v0 + b * theta) + h * h)
    z = kernel.sum() / math.sqrt(2 * (kernel**2).sum())
    gamma = 8 * np.trace(kernel @ kernel @ kernel) / (2 * (kernel**2).sum()) ** 1.5
    nu = 8 / gamma**2
    p = stats.chi2.sf(nu + z * math.sqrt(2 * nu), nu) if gamma > 0.001 else stats.norm.sf(z)
    low, high = max(theta + h - root, 0), max(theta + h + root, 0)
    return z, p, math.sqrt(max(theta, 0)), math.sqrt(low), math.sqrt(high)


@pytest.mark.parametrize("name", ["mean", "variance", "within", "between"])
@pytest.mark.parametrize("mean", [0.0, 0.4])
def test_equals_the_formulas_by_loops(name, mean):
    blocks = draw(14, 3, 4, mean=mean)
    energy = (blocks**2).sum(axis=(1, 2))
    centred = name in ("within", "between")
    denominator = mean_energy(energy) if name == "mean" else mean_energy_product(energy)
    found = infer(sums_of(blocks, name), denominator, 1.7, centred=centred, alpha=0.05)
    z, p, effect, low, high = reference(blocks, name, 1.7, 0.05)
    got = [found.statistic, found.pvalue, found.effect, found.low, found.high]
    # For the centred kernels the loop leaves a row out of H, as the formula does.
    np.testing.assert_allclose(got, [z, p, effect, low, high], rtol=1e-9, atol=1e-12)


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


def test_interval_contains_zero_exactly_when_the_statistic_is_below_t():
    t = stats.t.ppf(0.95, 23)
    for seed in range(40):
        blocks = draw(24, 4, 9, seed=seed, mean=0.05)
        kernel = sums_of(blocks, "mean")
        energy = mean_energy((blocks**2).sum(axis=(1, 2)))
        found = infer(kernel, energy, 1.0, centred=False, alpha=0.05)
        assert (found.low == 0) == (found.statistic <= t)


def test_a_zero_kernel_has_no_effect_and_does_not_reject():
    found = infer(
        KernelSums(np.zeros(9), 0.0, 0.0),
        mean_energy(np.ones(9)),
        1.0,
        centred=False,
        alpha=0.05,
    )
    assert (found.effect, found.low, found.high, found.pvalue) == (0.0, 0.0, 0.0, 1.0)


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
    rejected = 0
    for seed in range(1000):
        blocks = draw(24, 3, 4, seed=seed)
        energy = (blocks**2).sum(axis=(1, 2))
        denominator = mean_energy(energy) if name == "mean" else mean_energy_product(energy)
        centred = name in ("within", "between")
        found = infer(sums_of(blocks, name), denominator, 1.0, centred=centred, alpha=0.05)
        rejected += found.pvalue < 0.05
    assert 0.025 <= rejected / 1000 <= 0.08
