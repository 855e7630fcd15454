"""Moments of the scores against integration, scipy, and Monte Carlo."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.spatial.distance import pdist, squareform

from cwda.filters.norm_moments import arcsine_kernel, norm_moments
from cwda.theory.moments import expected_spearman
from tests.theory.exact import isotropic_moments


def test_gm_by_monte_carlo():
    rng = np.random.default_rng(0)
    n, dim = 12, 9
    scores = np.array(
        [squareform(pdist(rng.standard_normal((n, dim))))[0].sum() for _ in range(20_000)]
    )
    mean, variance = isotropic_moments("gm", dim, n=n)
    assert abs(scores.mean() - mean) < 4 * math.sqrt(variance / len(scores))
    assert scores.var() == pytest.approx(variance, rel=4 * math.sqrt(2 / len(scores)))


@pytest.mark.parametrize("n", [16, 48])
def test_fermat_by_monte_carlo(n):
    rng = np.random.default_rng(1)
    scores = []
    for _ in range(400):
        filters = rng.standard_normal((n, 144))
        point = filters.mean(axis=0)
        for _ in range(20):
            weight = 1 / np.linalg.norm(filters - point, axis=1)
            point = weight @ filters / weight.sum()
        scores.append(np.linalg.norm(filters - point, axis=1))
    mean, variance = isotropic_moments("fermat", 144, n=n)
    assert np.mean(scores) == pytest.approx(mean, rel=2e-3)
    # 4 standard errors of a variance of 6,400 scores or more, and terms of order 1/d
    assert np.var(scores) == pytest.approx(variance, rel=0.07 + 2 / 144)


@pytest.mark.parametrize("r", [0.0, 1e-6, 0.029, 0.031, 0.3, -0.7, 0.99])
def test_arcsine_kernel_is_the_covariance_of_absolute_values(r):
    # E |x| |y| = E |x| E[|r x + sqrt(1 - r^2) z| | x], the mean of a folded normal law
    s = math.sqrt(1 - r * r)

    def integrand(x):
        inner = s * math.sqrt(2 / math.pi) * math.exp(-((r * x / s) ** 2) / 2)
        inner += r * x * math.erf(r * x / s / math.sqrt(2))
        return 2 * x * inner * stats.norm.pdf(x)

    expected = integrate.quad(integrand, 0, 12, epsabs=1e-14, epsrel=1e-13)[0] - 2 / math.pi
    found = float(arcsine_kernel(torch.tensor(r, dtype=torch.float64)))
    assert found == pytest.approx(expected, abs=1e-12)


def test_arcsine_kernel_does_not_jump_between_series_and_difference():
    below, above = arcsine_kernel(torch.tensor([0.03 - 1e-9, 0.03 + 1e-9], dtype=torch.float64))
    assert float(above - below) == pytest.approx(2 / math.pi * 2e-9 * math.asin(0.03), rel=1e-4)


def _covariances(seed):
    root = np.random.default_rng(seed).standard_normal((4, 5, 6))
    return root @ root.transpose(0, 2, 1)


def test_norm_moments_are_the_plain_double_sum():
    blocks = _covariances(3)
    full = np.zeros((20, 20))
    for b in range(4):
        full[5 * b : 5 * b + 5, 5 * b : 5 * b + 5] = blocks[b]
    variance = cross = 0.0
    for p in range(20):
        for q in range(20):
            a, b = full[p, p], full[q, q]
            r = np.clip(full[p, q] / math.sqrt(a * b), -1, 1)
            kernel = r * math.asin(r) + math.sqrt(1 - r * r) - 1
            variance += math.sqrt(a * b) * 2 / math.pi * kernel
            cross += math.sqrt(2 / math.pi) * r * r * math.sqrt(a) * b
    for found in (norm_moments(torch.tensor(blocks)), norm_moments(torch.tensor(full)[None])):
        assert found.l1_variance == pytest.approx(variance, rel=1e-10)
        assert found.covariance == pytest.approx(cross, rel=1e-10)
        assert found.trace_square == pytest.approx(np.trace(full @ full), rel=1e-12)


def test_norm_moments_by_monte_carlo():
    blocks = _covariances(4)
    rng = np.random.default_rng(5)
    draws = np.concatenate(
        [rng.multivariate_normal(np.zeros(5), block, size=200_000) for block in blocks], axis=1
    )
    l1, q = np.abs(draws).sum(axis=1), (draws**2).sum(axis=1)
    found = norm_moments(torch.tensor(blocks))
    assert l1.mean() == pytest.approx(found.l1_mean, rel=5e-3)
    assert l1.var() == pytest.approx(found.l1_variance, rel=0.02)
    assert q.var() == pytest.approx(2 * found.trace_square, rel=0.03)
    assert np.cov(l1, q)[0, 1] == pytest.approx(found.covariance, rel=0.02)


def test_a_dead_position_adds_nothing():
    blocks = torch.tensor(_covariances(6))
    padded = torch.zeros(4, 6, 6, dtype=torch.float64)
    padded[:, :5, :5] = blocks
    assert vars(norm_moments(padded)) == pytest.approx(vars(norm_moments(blocks)), rel=1e-12)


@pytest.mark.parametrize(("rho", "n"), [(0.936, 16), (0.5, 8), (-0.8, 64)])
def test_expected_spearman_by_monte_carlo(rho, n):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((4_000, n))
    y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((4_000, n))
    ranks = x.argsort(axis=1).argsort(axis=1) - y.argsort(axis=1).argsort(axis=1)
    spearman = 1 - 6 * (ranks**2).sum(axis=1) / (n * (n * n - 1))
    error = spearman.std() / math.sqrt(len(spearman))
    assert abs(spearman.mean() - expected_spearman(rho, n)) < 4 * error


def test_perfect_correlation():
    assert expected_spearman(1.0, 10) == pytest.approx(1.0, abs=1e-15)


def test_no_expected_coefficient_lies_beyond_one():
    for n in (*range(2, 200), 512, 1024, 2048):
        assert -1 <= expected_spearman(-1.0, n) <= expected_spearman(1.0, n) <= 1
