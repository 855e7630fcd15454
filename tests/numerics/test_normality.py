"""Marginal statistics against scipy and statsmodels, and their invariances."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.diagnostic import normal_ad

from cwda.errors import CwdaError
from cwda.numerics.normality import layers as normality
from cwda.numerics.normality.anderson_darling import anderson_darling_pvalue
from cwda.numerics.normality.layers import marginals, unit_norm_allowed
from cwda.numerics.normality.sorting import sort_rows

SIZES = [3, 4, 5, 6, 8, 11, 12, 33, 64, 512]


def samples(n, m=6, seed=0):
    """Rows normal, t_3, exponential and rounded to ties, with places and scales of their own."""
    rng = np.random.default_rng([seed, n])
    draws = [rng.standard_normal, lambda k: rng.standard_t(3, k), rng.standard_exponential]
    rows = [draws[i % 3](n) * 10.0 ** rng.integers(-3, 3) + rng.standard_normal() for i in range(m)]
    rows.append(np.round(rng.standard_normal(n) * 4) + np.arange(n) % 2)
    return np.stack(rows)


def close(found, expected, tolerance=1e-8):
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("n", SIZES)
def test_anderson_darling_equals_statsmodels(n):
    rows = samples(n)
    found = marginals(torch.from_numpy(rows), ["anderson_darling"])
    expected = np.array([normal_ad(row) for row in rows])
    close(found.anderson_darling, expected[:, 0])
    below = (expected[:, 1] < 0.45) & (expected[:, 1] > 1e-30)  # above, p is simulated
    assert below.any()
    tolerance = 1e-7 if n > 100 else 1e-8
    close(found.anderson_darling_pvalue[below], expected[below, 1], tolerance)
    close(found.anderson_darling_adjusted, expected[:, 0] * (1 + 0.75 / n + 2.25 / n**2))
    assert found.ks is None
    assert found.skewness is None


@pytest.mark.parametrize("n", [*SIZES, 1999, 5000])
def test_shapiro_wilk_equals_scipy(n):
    # scipy's normal scores carry the error of its quantile function.
    rows = samples(n)
    found = marginals(torch.from_numpy(rows), ["shapiro_wilk"])
    expected = np.array([tuple(stats.shapiro(row)) for row in rows])
    np.testing.assert_allclose(found.shapiro_wilk, expected[:, 0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.shapiro_wilk_pvalue, expected[:, 1], rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("n", [8, 9, 20, 33, 64, 512])
def test_moments_equal_scipy(n):
    rows = samples(n)
    found = marginals(torch.from_numpy(rows), ["moments"])
    close(found.skewness, stats.skew(rows, axis=1))
    close(found.kurtosis, stats.kurtosis(rows, axis=1))
    jb, jb_p = stats.jarque_bera(rows, axis=1)
    close(found.jarque_bera, jb)
    close(found.jarque_bera_pvalue, jb_p)
    k2, k2_p = stats.normaltest(rows, axis=1)
    close(found.k_squared, k2)
    close(found.k_squared_pvalue, k2_p)


def test_k_squared_is_not_defined_below_eight_values():
    found = marginals(torch.from_numpy(samples(7)), ["moments"])
    assert found.k_squared.isnan().all()
    assert found.jarque_bera.isfinite().all()


@pytest.mark.parametrize("n", SIZES)
def test_ks_equals_scipy_with_plugged_in_parameters(n):
    rows = samples(n)
    z = (rows - rows.mean(1, keepdims=True)) / rows.std(1, ddof=1, keepdims=True)
    expected = [stats.kstest(row, "norm").statistic for row in z]
    close(marginals(torch.from_numpy(rows), ["ks"]).ks, expected)


def test_ks_with_ties_by_hand():
    # Half the values -1, half 1: F jumps by 1/2 at z = -sqrt(3)/2, the deviation before the
    # second jump is 1/2 - Phi at the same place, mirrored.
    rows = torch.tensor([[-1.0, 1.0, 1.0, -1.0]])
    expected = max(0.5 - special.ndtr(-math.sqrt(0.75)), special.ndtr(-math.sqrt(0.75)))
    assert marginals(rows, ["ks"]).ks.item() == pytest.approx(expected, abs=1e-15)


def test_huge_statistics_stay_finite():
    # One value 70 SD away: Phi underflows there; log_ndtr from scipy is the reference.
    n = 6000
    row = np.random.default_rng(1).standard_normal(n)
    row[7] = 1e9
    z = np.sort((row - row.mean()) / row.std(ddof=1))
    i = np.arange(1, n + 1)
    logs = special.log_ndtr(z) + special.log_ndtr(-z[::-1])
    found = marginals(torch.from_numpy(row)[None], ["anderson_darling", "ks", "moments"])
    close(found.anderson_darling, [-n - ((2 * i - 1) * logs).sum() / n])
    assert found.anderson_darling_pvalue.item() == pytest.approx(4.954e-31, rel=1e-3)
    assert found.jarque_bera_pvalue.item() == 0.0
    assert 0.4 < found.ks.item() < 0.6


def test_pvalue_ends_where_its_formula_does_and_keeps_nan():
    a = torch.tensor([12.9, 13.0, 13.1, 200.0, 1e300, torch.inf, torch.nan], dtype=torch.float64)
    p = anderson_darling_pvalue(a, 64)
    assert p[0] > p[1] > 0
    assert (p[1:6] == p[1]).all()
    assert p[6].isnan()


@pytest.mark.parametrize("n", [3, 8, 9, 64, 100, 10**6])
def test_pvalue_falls_from_one_and_joins_the_formula(n):
    a = torch.logspace(-4, 1, 40_001, dtype=torch.float64)
    p = anderson_darling_pvalue(a, n)
    assert p[0] == pytest.approx(1.0, abs=1e-12)
    falls = p[:-1] - p[1:]
    # A step of a is .03 %; the formulas of Stephens themselves leave a step of .0024 at .6.
    assert (falls[(a[:-1] < 0.59) | (a[:-1] > 0.61)] >= 0).all()
    assert falls.min() > -2.5e-3
    assert falls[a[:-1] < 0.5].max() < 8e-4


@pytest.mark.parametrize("n", [8, 14, 20, 100])
def test_pvalues_are_uniform_above_one_half(n):
    # 200,000 normal samples, other seeds than the table's, sizes on and between its own:
    # four standard errors, and 2 % (5 % at .001) for what interpolation leaves.
    rows = torch.randn(200_000, n, generator=torch.Generator().manual_seed(n))
    p = marginals(rows, ["anderson_darling"]).anderson_darling_pvalue
    for share, allowed in ((0.001, 0.05), (0.01, 0.02), (0.03, 0.02), (0.1, 0.02), (0.45, 0.02)):
        found = float((p >= 1 - share).double().mean())
        assert abs(found / share - 1) < allowed + 4 / math.sqrt(200_000 * share), share


def test_degenerate_rows_are_flagged_and_harm_no_other():
    rows = torch.randn(7, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alone = marginals(rows[:1])
    rows[1] = 0.0
    rows[2] = 0.1
    rows[3, 5] = torch.nan
    rows[4, 5] = torch.inf
    rows[5, 5] = -torch.inf
    rows[6] = 1e8 + 1e-8 * torch.arange(40) / 40
    found = marginals(rows)
    assert found.degenerate.tolist() == [False, *[True] * 6]
    for field in fields(found):
        value = getattr(found, field.name)
        if field.name not in {"n", "degenerate"}:
            assert value[1:].isnan().all(), field.name
            torch.testing.assert_close(value[:1], getattr(alone, field.name), rtol=1e-12, atol=0)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(8, 60),
    exponent=st.integers(-300, 300),
    shift=st.floats(-5, 5),
)
def test_place_scale_and_order_do_not_matter(seed, n, exponent, shift):
    generator = torch.Generator().manual_seed(seed)
    row = torch.randn(1, n, generator=generator, dtype=torch.float64)
    changed = (row[:, torch.randperm(n, generator=generator)] + shift) * 10.0**exponent
    before, after = marginals(row), marginals(changed)
    for field in fields(before)[2:]:
        torch.testing.assert_close(
            getattr(after, field.name), getattr(before, field.name), rtol=1e-7, atol=1e-9
        )


@pytest.mark.parametrize("tile", [16, 100, 257])
def test_tiles_do_not_matter(tile, monkeypatch):
    # Rows longer than a tile are added up in pieces, shorter ones in blocks.
    for rows in (torch.from_numpy(samples(101)), torch.from_numpy(samples(12))):
        whole = marginals(rows)
        monkeypatch.setattr(normality, "_TILE_CPU", tile)
        tiled = marginals(rows)
        monkeypatch.undo()
        for field in fields(whole)[1:]:
            torch.testing.assert_close(
                getattr(tiled, field.name), getattr(whole, field.name), rtol=1e-11, atol=1e-13
            )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stored_dtype_strides_and_input_are_respected(dtype):
    rows = torch.randn(30, 20, generator=torch.Generator().manual_seed(3)).to(dtype)
    kept = rows.clone()
    found, expected = marginals(rows.T), marginals(rows.double().T.contiguous())
    for field in fields(found)[1:]:
        assert torch.equal(getattr(found, field.name), getattr(expected, field.name))
    assert torch.equal(rows, kept)


def test_float64_input_is_not_overwritten():
    rows = torch.from_numpy(samples(20))
    kept = rows.clone()
    marginals(rows)
    assert torch.equal(rows, kept)


def test_large_matrices_are_sorted_by_several_threads():
    rows = torch.randn(700, 2000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sort_rows(rows), torch.sort(rows, dim=1).values)


@pytest.mark.parametrize(
    ("rows", "statistics", "message"),
    [
        (torch.zeros(4), ["ks"], "matrix"),
        (torch.zeros(4, 4, dtype=torch.int64), ["ks"], "floating"),
        (torch.zeros(4, 2), ["ks"], "at least 3"),
        (torch.zeros(1, 5001), ["shapiro_wilk"], "5000"),
        (torch.zeros(4, 4), ["lilliefors"], "unknown statistic"),
    ],
)
def test_bad_input_gives_one_line(rows, statistics, message):
    with pytest.raises(CwdaError, match=message):
        marginals(rows, statistics)


def test_unit_norm_is_allowed_where_its_kurtosis_is_small():
    # n (6 / (d + 2))^2 / 24 = 0.5 at n = 12, d = 4.
    assert unit_norm_allowed(12, 4.0)
    assert not unit_norm_allowed(13, 4.0)


@pytest.mark.slow
def test_size_of_anderson_darling():
    # 20,000 normal samples of 64: standard errors .0015 and .0007.
    rows = torch.randn(20_000, 64, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    p = marginals(rows, ["anderson_darling"]).anderson_darling_pvalue
    assert abs(float((p < 0.05).double().mean()) - 0.05) < 0.006
    assert abs(float((p < 0.01).double().mean()) - 0.01) < 0.003


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    rows = torch.from_numpy(samples(300))
    there, here = marginals(rows.cuda()), marginals(rows)
    for field in fields(here)[1:]:
        torch.testing.assert_close(
            getattr(there, field.name).cpu(), getattr(here, field.name), rtol=1e-9, atol=1e-12
        )
