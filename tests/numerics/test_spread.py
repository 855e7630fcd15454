"""Dispersion of samples against plain loops, numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cwda.numerics.spread import NORMAL_IQR, constant, spread

VALUES = st.lists(st.floats(0.01, 100), min_size=2, max_size=30)


def of(values):
    return spread(torch.tensor(values, dtype=torch.float64))


def gini_by_loops(x):
    n = len(x)
    total = sum(abs(a - b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j)
    return total / (n * (n - 1)) / (2 * sum(x) / n)


@pytest.mark.parametrize("n", [2, 3, 16, 257])
def test_numbers_are_their_definitions(n):
    rows = np.random.default_rng(n).gamma(2.0, size=(3, n))
    found = spread(torch.from_numpy(rows))
    for i, x in enumerate(rows):
        q = np.quantile(x, [0.1, 0.25, 0.5, 0.75, 0.9])
        expected = {
            "mean": np.mean(x),
            "sd": stats.tstd(x),
            "cv": stats.variation(x, ddof=1),
            "robust_cv": (q[3] - q[1]) / NORMAL_IQR / q[2],
            "q90_q10": q[4] / q[0],
            "gini": gini_by_loops(x.tolist()),
        }
        for name, value in expected.items():
            assert float(getattr(found, name)[i]) == pytest.approx(value, rel=1e-10), name


def test_normal_iqr_is_scipys():
    assert pytest.approx(np.diff(stats.norm.ppf([0.25, 0.75]))[0], rel=1e-15) == NORMAL_IQR


def test_one_axis_more():
    rows = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(spread(rows).gini[1], spread(rows[1]).gini)


@given(VALUES, st.floats(1e-6, 1e6))
def test_scale_does_not_matter(values, factor):
    one, other = of(values), of([factor * v for v in values])
    for name in ("cv", "robust_cv", "q90_q10", "gini"):
        assert float(getattr(other, name)) == pytest.approx(
            float(getattr(one, name)), rel=1e-9, abs=1e-12
        )


@given(VALUES)
def test_order_does_not_matter_and_bounds_hold(values):
    found = of(values)
    assert found == of(values[::-1])
    assert 0 <= float(found.gini) <= 1 + 1e-12
    assert float(found.q90_q10) >= 1
    assert float(found.cv) <= math.sqrt(len(values)) + 1e-12


def test_one_value_in_use_is_a_gini_of_1():
    assert float(of([0.0, 0.0, 0.0, 5.0]).gini) == pytest.approx(1.0, rel=1e-15)


def test_equal_values_have_no_spread():
    found = of([0.1 + 0.2] * 7)
    assert [float(v) for v in found[1:]] == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_what_is_undefined_is_nan():
    assert all(math.isnan(float(v)) for v in of([3.0])[1:])
    assert float(of([3.0]).mean) == 3.0
    found = of([-1.0, 0.0, 1.0])
    assert float(found.sd) == pytest.approx(1.0)
    assert all(math.isnan(float(v)) for v in found[2:])
    assert math.isnan(float(of([-0.5, 1.0, 2.0]).gini))
    assert all(math.isnan(float(v)) for v in of([math.nan, 1.0, 2.0]))


def test_constant_allows_rounding_alone():
    rows = torch.tensor([[1.0, 1.0], [1.0, 1 + 1e-15], [1.0, 1 + 1e-9], [0.0, 0.0]]).double()
    rows[1, 1], rows[2, 1] = 1 + 1e-15, 1 + 1e-9
    assert constant(rows).tolist() == [True, True, False, True]
