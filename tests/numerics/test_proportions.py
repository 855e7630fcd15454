"""Wilson's interval against statsmodels."""

import math

import pytest
from statsmodels.stats.proportion import proportion_confint

from cwda.numerics.proportions import wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "level"), [(0, 7, 0.95), (7, 7, 0.95), (19, 20, 0.9), (101, 105, 0.99)]
)
def test_wilson_is_that_of_statsmodels(successes, trials, level):
    expected = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    assert wilson_interval(successes, trials, level) == pytest.approx(expected, abs=1e-12)


def test_no_trial_has_no_interval():
    assert all(math.isnan(limit) for limit in wilson_interval(0, 0))
