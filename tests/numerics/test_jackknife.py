"""The jackknife against what it is known to give for a mean, and against its own special cases."""

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.numerics.jackknife import (
    grouped_jackknife_variance,
    jackknife_radius,
    jackknife_variance,
)

X = np.random.default_rng(0).standard_normal((30, 2)) ** 3
WITHOUT = np.stack([np.delete(X, i, axis=0).mean(0) for i in range(30)])


def test_of_a_mean_it_is_the_squared_standard_error_by_numpy_and_torch():
    expected = stats.sem(X, axis=0) ** 2
    assert jackknife_variance(WITHOUT) == pytest.approx(expected, rel=1e-12)
    assert jackknife_variance(torch.from_numpy(WITHOUT)).numpy() == pytest.approx(expected)


def test_groups_of_one_are_items():
    whole, without = torch.from_numpy(X.mean(0)), torch.from_numpy(WITHOUT)
    found = grouped_jackknife_variance(
        whole, without, torch.full((30,), 1 / 30, dtype=torch.float64)
    )
    assert found.numpy() == pytest.approx(jackknife_variance(WITHOUT), rel=1e-12)


def test_the_interval_of_a_mean_is_students():
    low, high = stats.ttest_1samp(X[:, 0], 0).confidence_interval(0.9)
    radius = jackknife_radius(float(jackknife_variance(WITHOUT[:, 0])), 30, 0.9)
    assert (X[:, 0].mean() - radius, X[:, 0].mean() + radius) == pytest.approx((low, high))
