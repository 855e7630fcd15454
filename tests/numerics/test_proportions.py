"""Wilson's interval against statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cwda.numerics.proportions import binomial_quantile, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "level"), [(0, 7, 0.95), (7, 7, 0.95), (19, 20, 0.9), (101, 105, 0.99)]
)
def test_wilson_is_that_of_statsmodels(successes, trials, level):
    expected = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    assert wilson_interval(successes, trials, level) == pytest.approx(expected, abs=1e-12)


def test_no_trial_has_no_interval():
    assert all(math.isnan(limit) for limit in wilson_interval(0, 0))


def test_binomial_quantile_is_scipy_s():
    rng = np.random.default_rng(0)
    trials = rng.integers(1, 2000, size=(200, 1)).astype(float)
    probability = np.concatenate([rng.random(40), [0.0, 1.0, 1e-9, 1 - 1e-9]])
    for q in (0.025, 0.5, 0.975):
        expected = stats.binom.ppf(q, trials, probability)
        np.testing.assert_array_equal(binomial_quantile(q, trials, probability), expected)
