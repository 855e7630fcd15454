"""Copies of filters, of either sign and any scale."""

import math

import numpy as np
import pytest
import torch

from cwda.calibration import DESIGNS
from cwda.conditions import distinctness
from cwda.filters.copies import copies
from cwda.layers import ConvLayer

from . import simulated


def pairs(factor, noise=0.0, mean=0.0):
    """Every second filter is a multiple of the one before."""

    def transform(array, rng):
        array += mean
        array[1::2] = factor * array[::2] + noise * rng.standard_normal(array[::2].shape)
        return array

    return transform


@pytest.mark.parametrize("factor", [1.0, -1.0, 3.0, -0.2])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_pairs_of_copies_fail(factor, noise):
    found = distinctness(simulated.layer(n=32, channels=8, transform=pairs(factor, noise)))
    assert (found.verdict, found.effect) == ("fails", 1.0)
    assert found.log10_pvalue < -8
    sign = " with the opposite sign" if factor < 0 else ""
    assert found.note == "filters are copies of others" + sign


def test_clusters_and_copies_of_copies_count_once():
    def clusters(array, rng):
        array[:20] = np.repeat(array[:4], 5, axis=0) * rng.uniform(0.5, 2, (20, 1, 1))
        return array

    found = distinctness(simulated.layer(n=64, channels=8, transform=clusters))
    assert found.effect == 20 / 64
    assert found.effect_low < 20 / 64 < found.effect_high


def test_a_mean_of_all_filters_makes_no_copies():
    found = distinctness(simulated.layer(n=64, channels=8, mean=5.0))
    assert (found.verdict, found.effect) == ("holds", 0.0)
    copied = simulated.layer(n=64, channels=8, transform=pairs(1.0, mean=5.0))
    assert distinctness(copied).effect == 1.0


@pytest.mark.parametrize(("noise", "effect"), [(1e-3, 1.0), (0.05, 1.0), (0.3, 0.0)])
def test_collapsed_filters_are_copies_though_they_share_a_mean(noise, effect):
    def collapsed(array, rng):
        array[:] = rng.standard_normal(array[0].shape) + noise * array
        return array

    found = distinctness(simulated.layer(n=32, channels=16, transform=collapsed))
    assert found.effect == effect
    if effect:
        assert (found.verdict, found.note) == ("fails", "filters are copies of others")
        assert found.details["largest_cosine"] > 0.99


def test_few_dimensions_are_not_judged():
    found = distinctness(simulated.layer(n=64, channels=1))
    assert found.verdict == "not applicable"
    assert "some may have a cosine beyond 0.9" in found.reason


def test_few_filters_are_inconclusive_and_dead_ones_are_left_out():
    found = distinctness(simulated.layer(n=26, channels=16))
    assert (found.verdict, found.effect) == ("inconclusive", 0.0)
    assert distinctness(simulated.layer(n=28, channels=16)).verdict == "holds"

    def dead(array, rng):
        array[:6] = 1e-5 * array[6]
        return array

    found = distinctness(simulated.layer(n=64, channels=16, transform=dead))
    assert (found.effect, found.details["live_filters"]) == (0.0, 58)


def test_cosines_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    filters = rng.standard_normal((10, 30)) + 0.4
    filters[4] = -filters[7]
    gram = torch.from_numpy(filters @ filters.T)
    found = copies(gram, gram.diagonal().clone())
    units = filters / np.linalg.norm(filters, axis=1, keepdims=True)
    left = units - units.mean(axis=0)
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    for i in range(10):
        nearest = max(
            max(min(units[i] @ units[j], left[i] @ left[j]), -(units[i] @ units[j]))
            for j in range(10)
            if j != i
        )
        assert float(found.nearest[i]) == pytest.approx(nearest, abs=1e-12)
    assert found.opposite.nonzero().flatten().tolist() == [4, 7]


def test_type_one_error_is_at_most_nominal():
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(200):
        filters = torch.from_numpy(rng.standard_normal((64, 36)))
        gram = filters @ filters.T
        found = copies(gram, gram.diagonal().clone())
        rejected += found.log_tail(found.largest) <= math.log(0.05)
    assert 0 < rejected <= 20


@pytest.mark.parametrize(
    ("design", "test", "interval"),
    [("populations even", False, True), ("sparse 90 %", False, False), ("cwda", True, True)],
)
def test_what_is_claimed(design, test, interval):
    departures = DESIGNS[design].departures
    assert departures.isdisjoint(distinctness.calibration.excluded) is test
    assert departures.isdisjoint(distinctness.calibration.interval_excluded) is interval


@pytest.mark.parametrize("effect", [0.0, 0.2, 0.4])
def test_the_law_of_the_calibration_has_its_effect(effect):
    size = type("Size", (), {"n_filters": 2001, "channels": 4, "kernel_size": 9, "dim": 36})
    array = distinctness.calibration.draw(np.random.default_rng(0), size, effect)
    found = distinctness(ConvLayer("conv", torch.from_numpy(array)))
    assert found.effect == pytest.approx(effect, abs=0.03)
