"""The distance left without scales, and the test of uniform weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.conditions.shape_left import shape_left
from cwda.numerics.normality.kolmogorov import uniform_pvalue


def draw(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "d"), [(8, 144), (32, 27), (64, 9), (128, 576)])
def test_normal_filters_leave_nothing_whatever_their_scales(n, d):
    # 40 layers each; a lower limit above 0 has a nominal share of .05: 7 or more, .003.
    scales = torch.exp(0.8 * draw(40, n, 1))
    found = [shape_left(draw(n, d, seed) * scales[seed][:, None]) for seed in range(40)]
    assert sum(each.low > 0 for each in found) <= 6
    assert all(each.low < 0.05 for each in found)


def test_heavy_tails_are_left():
    x = torch.from_numpy(np.random.default_rng(0).standard_t(2.5, (64, 144)))
    assert shape_left(x).low > 0.02


def test_scales_do_not_matter_and_zero_filters_are_left_out():
    x = draw(40, 90, 3).double()
    scaled = torch.cat([x * torch.logspace(-100, 100, 40, dtype=x.dtype)[:, None]])
    assert shape_left(scaled).distance == pytest.approx(shape_left(x).distance, abs=1e-9)
    dead = torch.cat([x, torch.zeros(3, 90)])
    assert shape_left(dead).distance == pytest.approx(shape_left(x).distance, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(8, 9), (16, 9), (64, 1)])
def test_small_spheres_are_out_of_the_domain(n, d):
    assert shape_left(draw(n, d, 0)) is None


def test_uniform_pvalue_equals_scipy():
    x = np.random.default_rng(1).uniform(-3, 5, 4000)
    inner = np.sort((x - x.min()) / (x.max() - x.min()))[1:-1]
    expected = stats.kstest(inner, "uniform").pvalue
    assert uniform_pvalue(torch.from_numpy(x)) == pytest.approx(expected, abs=0.005)


def test_uniform_pvalue_has_its_size_and_power():
    rng = np.random.default_rng(2)
    p = np.array([uniform_pvalue(torch.from_numpy(rng.uniform(-1, 1, 200))) for _ in range(2000)])
    assert abs((p < 0.05).mean() - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2000)
    assert uniform_pvalue(draw(64, 144, 0)) < 1e-6
