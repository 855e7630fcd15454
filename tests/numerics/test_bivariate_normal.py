"""The bivariate normal law against scipy's, and its limits."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from cwda.numerics.ranking.bivariate_normal import bivariate_normal_cdf

POINTS = st.floats(-5, 5)


@example(0.0, 5e-324, 0.5)
@given(POINTS, POINTS, st.floats(-0.99, 0.99))
def test_is_scipys(x, y, rho):
    expected = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([x, y])
    assert float(bivariate_normal_cdf(x, y, rho)) == pytest.approx(expected, abs=1e-10)


@given(POINTS, POINTS, st.floats(-1, 1))
def test_is_symmetric_and_splits_the_margin(x, y, rho):
    found = float(bivariate_normal_cdf(x, y, rho))
    assert found == pytest.approx(float(bivariate_normal_cdf(y, x, rho)), abs=1e-14)
    rest = float(bivariate_normal_cdf(x, -y, -rho))
    assert found + rest == pytest.approx(stats.norm.cdf(x), abs=1e-12)


@pytest.mark.parametrize("rho", [-1.0, -0.7, 0.0, 0.3, 1.0])
def test_median_point(rho):
    expected = 0.25 + math.asin(rho) / (2 * math.pi)
    assert float(bivariate_normal_cdf(0, 0, rho)) == pytest.approx(expected, abs=1e-15)


def test_limits():
    inf = np.inf
    found = bivariate_normal_cdf([inf, -inf, inf, 0.3, 1.0], [0.4, 0.4, inf, 0.3, -2.0], 1.0)
    expected = [stats.norm.cdf(0.4), 0, 1, stats.norm.cdf(0.3), stats.norm.cdf(-2)]
    assert found == pytest.approx(expected, abs=1e-15)
    assert bivariate_normal_cdf(1.0, -2.0, -1.0) == 0
