"""Combined and adjusted p-values against statsmodels and scipy."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cwda.numerics.combination import benjamini_hochberg, cauchy_combination, holm
from tests.helpers.adjusting import multipletests


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), min_size=1, max_size=40))
def test_adjusted_pvalues_equal_statsmodels(values):
    p = np.array(values)
    known = ~np.isnan(p)
    for function, method in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        found = function(p)
        assert np.array_equal(np.isnan(found), ~known)
        if known.any():
            # statsmodels collects garbage each time, a quarter of a second where torch is loaded
            with mock.patch("gc.collect"):
                expected = multipletests(p[known], method=method)[1]
            np.testing.assert_allclose(found[known], expected, rtol=1e-12, atol=1e-300)


def test_adjustment_leaves_its_input_alone():
    p = np.array([0.04, math.nan, 0.01])
    holm(p)
    assert p[0] == 0.04
    assert len(holm([])) == 0


def test_cauchy_combination_equals_scipy_cauchy():
    rng = np.random.default_rng(2)
    p = rng.uniform(0.001, 0.999, (50, 20))
    expected = stats.cauchy.sf(stats.cauchy.isf(p).mean(1))
    np.testing.assert_allclose(cauchy_combination(torch.from_numpy(p)), expected, rtol=1e-8)
    found = cauchy_combination(torch.from_numpy(p).T, dim=0)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("p", [1e-300, 1e-20, 1e-9, 0.3, 0.5, 0.999, 1 - 1e-12])
def test_equal_pvalues_combine_to_themselves(p):
    found = cauchy_combination(torch.full((7,), p, dtype=torch.float64)).item()
    assert found == pytest.approx(p, rel=1e-12)
    assert 1 - found == pytest.approx(1 - p, rel=1e-3)


def test_one_tiny_pvalue_counts_as_bonferroni():
    # cot(pi p) = 1/(pi p): m others of 1/2 add nothing, so p times their number.
    p = torch.full((10,), 0.5, dtype=torch.float64)
    p[3] = 1e-40
    assert cauchy_combination(p).item() == pytest.approx(1e-39, rel=1e-12)


def test_zero_one_and_missing():
    nan = math.nan
    rows = torch.tensor([[0.0, 1.0, 0.3], [1.0, 1.0, nan], [nan, nan, nan]], dtype=torch.float64)
    found = cauchy_combination(rows)
    assert found[0] == 0.0
    assert found[1] == pytest.approx(1.0)
    assert found[2].isnan()
