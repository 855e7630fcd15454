"""Intervals of proportions against statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cwda.numerics.proportions import (
    binomial_quantile,
    clopper_pearson_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "trials", "level"), [(0, 7, 0.95), (7, 7, 0.95), (19, 20, 0.9), (101, 105, 0.99)]
)
def test_wilson_is_that_of_statsmodels(successes, trials, level):
    expected = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    assert wilson_interval(successes, trials, level) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_clopper_pearson_is_that_of_statsmodels(level):
    trials = np.repeat([1.0, 20.0, 400.0, 5000.0], 5)
    successes = np.round(trials * np.tile([0.0, 0.05, 0.5, 0.97, 1.0], 4))
    expected = proportion_confint(successes, trials, alpha=1 - level, method="beta")
    limits = clopper_pearson_interval(successes, trials, level)
    np.testing.assert_allclose(limits, expected, rtol=1e-12)


def test_no_trial_has_no_interval():
    assert all(math.isnan(limit) for limit in wilson_interval(0, 0))


def test_binomial_quantile_is_scipy_s():
    rng = np.random.default_rng(0)
    trials = rng.integers(1, 2000, size=(200, 1)).astype(float)
    probability = np.concatenate([rng.random(40), [0.0, 1.0, 1e-9, 1 - 1e-9]])
    for q in (0.025, 0.5, 0.975):
        expected = stats.binom.ppf(q, trials, probability)
        np.testing.assert_array_equal(binomial_quantile(q, trials, probability), expected)


def test_binomial_quantile_where_nearly_none_succeeds_or_all_do():
    trials, rare = np.array([[1.0], [64.0]]), np.array([1e-18, 1e-80, 1e-300])
    for q in (0.025, 0.975):
        assert not binomial_quantile(q, trials, rare).any()
        found = binomial_quantile(q, trials, np.array([1 - 1e-16]))
        np.testing.assert_array_equal(found, trials)
