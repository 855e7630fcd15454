"""Compiled loops of the normality tests against the same numbers from torch."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cwda.numerics.normality import loops, sorted_columns
from cwda.numerics.normality.layers import marginals
from cwda.numerics.normality.pooled_ks import pooled_ks

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NUMBERS = ("distance", "location", "standard_error", "low", "high")


@pytest.fixture(autouse=True)
def _any_size(monkeypatch):
    monkeypatch.setattr(loops, "FEWEST", 0)


@pytest.fixture
def by_torch(monkeypatch):
    """The same call where numba cannot be had."""

    def call(function, *arguments):
        with monkeypatch.context() as without:
            without.setattr(loops, "compiled", lambda module, name: None)
            return function(*arguments)

    return call


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


def layer(n, d, kind="heavy", seed=0):
    """Filters of unequal scale, of weights of several kinds."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(n, d, generator=generator, dtype=torch.float64)
    heavy = normal / torch.rand(n, d, generator=generator, dtype=torch.float64).sqrt()
    scales = torch.randn(n, 1, generator=generator, dtype=torch.float64).mul(0.3).exp()
    zero = torch.rand(n, d, generator=generator) < 0.9
    kinds = {
        "normal": normal,
        "heavy": heavy * scales + 0.3,
        "quantised": (normal * 3).round() / 3,
        "zeros": torch.where(zero, torch.where(normal > 0, 0.0, -0.0), normal),
        "dead filters": heavy * (torch.arange(n) % 3 > 0)[:, None],
        "outlier": torch.cat([torch.full((1, d), 1e7), normal[1:]]),
        "away from zero": normal * 1e-3 + 1,
        "two values": normal.sign(),
    }
    return kinds[kind]


def assert_same_distance(found, expected):
    for name in NUMBERS:
        assert getattr(found, name) == getattr(expected, name), name
    assert torch.equal(found.leave_one_out, expected.leave_one_out)


def assert_same_distance_or_nan(found, expected):
    if math.isnan(expected.distance):
        assert math.isnan(found.distance)
    else:
        assert_same_distance(found, expected)


def assert_same_tests(found, expected):
    assert torch.equal(found.degenerate, expected.degenerate)
    for name in ("anderson_darling", "anderson_darling_adjusted", "anderson_darling_pvalue"):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-11, equal_nan=True
        )


KINDS = ["normal", "heavy", "quantised", "zeros", "dead filters", "outlier", "away from zero"]


@pytest.mark.parametrize("kind", [*KINDS, "two values"])
@pytest.mark.parametrize("shape", [(8, 1), (3, 33), (33, 100), (200, 144)])
def test_pooled_distance_is_that_of_sorted_weights(shape, kind, by_torch):
    x = layer(*shape, kind)
    assert_same_distance(pooled_ks(x), by_torch(pooled_ks, x))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(3, 70),
    d=st.integers(1, 70),
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 1000),
)
def test_pooled_distance_for_any_layer(n, d, kind, dtype, seed):
    x = layer(n, d, kind, seed).to(dtype)
    found = pooled_ks(x)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(loops, "compiled", lambda module, name: None)
        expected = pooled_ks(x)
    assert_same_distance_or_nan(found, expected)


@pytest.mark.parametrize("offset", [-1.6e-7, -1.6e-8, 0.0, 1.6e-8, 1.6e-7])
def test_a_jump_beside_a_point_of_the_grid(offset, by_torch):
    half = layer(10, 22, "quantised")
    x = torch.cat([half, -half])  # the supremum lies at 0, as a point of the grid does
    x[0, int(x[0].argmax())] += offset  # moves the mean
    found = pooled_ks(x)
    assert abs(found.location) < 1e-8
    assert_same_distance(found, by_torch(pooled_ks, x))


@pytest.mark.parametrize("kind", [*KINDS, "two values"])
@pytest.mark.parametrize("shape", [(8, 32), (33, 100), (100, 64), (257, 65), (2048, 33)])
def test_anderson_darling_is_that_of_torch(shape, kind, by_torch):
    x = layer(*shape, kind).T
    wanted = ["anderson_darling"]
    assert_same_tests(marginals(x, wanted), by_torch(marginals, x, wanted))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lay", ["transposed", "rows", "strided"])
def test_any_dtype_and_layout_is_read_and_left_alone(dtype, lay, by_torch):
    x = layer(50, 70).to(dtype)
    x = {"transposed": x.T, "rows": x.T.contiguous(), "strided": x[::2, 1::2].T}[lay]
    kept = x.clone()
    assert_same_tests(
        marginals(x, ["anderson_darling"]), by_torch(marginals, x, ["anderson_darling"])
    )
    assert_same_distance(pooled_ks(x), by_torch(pooled_ks, x))
    assert torch.equal(x, kept)


def test_copies_of_other_layouts_are_made_in_pieces(monkeypatch, by_torch):
    monkeypatch.setattr(sorted_columns, "_CHUNK", 1)
    rows = layer(150, 40)
    wanted = ["anderson_darling"]
    assert_same_tests(marginals(rows, wanted), by_torch(marginals, rows, wanted))


@pytest.mark.parametrize("exponent", [-300, -30, 30, 300])
def test_tiny_and_huge_weights(exponent, by_torch):
    x = layer(40, 64) * 10.0**exponent
    assert_same_distance(pooled_ks(x), by_torch(pooled_ks, x))
    wanted = ["anderson_darling"]
    assert_same_tests(marginals(x.T, wanted), by_torch(marginals, x.T, wanted))


def test_degenerate_samples_harm_no_other(by_torch):
    x = layer(60, 80)
    x[:, 1] = 0.1
    x[5, 2], x[6, 3], x[7, 4] = torch.nan, torch.inf, -torch.inf
    x[:, 5] = 1e8 + 1e-8 * torch.arange(60) / 60
    found = marginals(x.T, ["anderson_darling"])
    assert found.degenerate.nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    assert_same_tests(found, by_torch(marginals, x.T, ["anderson_darling"]))
    assert math.isnan(pooled_ks(x).distance)


def test_values_far_out_keep_their_digits():
    # 5,999 normal values and one 77 standard deviations away; log_ndtr of scipy is the reference.
    x = layer(6000, 32, "normal")
    x[7] = torch.logspace(1, 9, 32)
    z = ((x - x.mean(0)) / x.std(0)).sort(0).values.numpy()
    i = np.arange(1, 6001)[:, None]
    logs = special.log_ndtr(z) + special.log_ndtr(-z[::-1])
    expected = -6000 - ((2 * i - 1) * logs).sum(0) / 6000
    found = marginals(x.T, ["anderson_darling"]).anderson_darling
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_threads_change_no_digit(two_threads):
    x = layer(300, 130)
    torch.set_num_threads(1)
    distance, tests = pooled_ks(x), marginals(x.T, ["anderson_darling"])
    two_threads()
    assert_same_distance(pooled_ks(x), distance)
    again = marginals(x.T, ["anderson_darling"])
    for field in fields(tests)[1:]:
        value = getattr(tests, field.name)
        assert value is None or torch.equal(getattr(again, field.name), value)


def test_small_layers_and_other_devices_do_without_numba(monkeypatch):
    monkeypatch.setattr(loops, "FEWEST", 1 << 16)
    monkeypatch.setattr(loops, "compiled", lambda module, name: pytest.fail("numba was asked for"))
    assert loops.loops_for(36_864, torch.device("cpu"), "buckets", "count") == []
    assert loops.loops_for(1 << 20, torch.device("cuda"), "buckets", "count") == []
    pooled_ks(layer(64, 576))
    marginals(layer(64, 576).T, ["anderson_darling"])


def test_one_weight_that_differs_by_rounding_alone(by_torch):
    x = torch.ones(300, 300, dtype=torch.float64)
    x[7, 7] += 40 * torch.finfo(torch.float64).eps
    assert_same_distance_or_nan(pooled_ks(x), by_torch(pooled_ks, x))
