"""Filters of one shape, and filters of several."""

import math

import numpy as np
import pytest
import torch

from cwda.calibration import DESIGNS, Size
from cwda.conditions import shape
from cwda.layers import ConvLayer

from . import simulated


def halves(array, rng):
    return simulated.two_populations(array, rng, np.arange(array.shape[1]) < array.shape[1] // 2)


def random_half(array, rng):
    strong = np.zeros(array.shape[1], dtype=bool)
    strong[rng.permutation(len(strong))[: len(strong) // 2]] = True
    return simulated.two_populations(array, rng, strong)


def two_kernels(array, rng):
    return simulated.two_populations(array.swapaxes(1, 2), rng).swapaxes(1, 2)


def two_powers(array, rng):
    power = 1 + 0.5 * rng.choice([-1, 1], (len(array), 1, 1))
    return np.sign(array) * np.abs(array) ** power


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("population", [simulated.two_populations, halves, random_half])
def test_two_populations_of_filters_fail_and_the_words_name_the_channels(population, n):
    found = shape(simulated.layer(n=n, channels=64, transform=population))
    assert found.verdict == "fails"
    assert found.note == "filters differ in which channels they are strong in"


def test_populations_that_differ_in_positions_or_in_concentration_are_named():
    found = shape(simulated.layer(n=64, channels=16, transform=two_kernels))
    assert (found.verdict, found.note) == (
        "fails",
        "filters differ in which positions they are strong at",
    )
    found = shape(simulated.layer(n=64, channels=16, transform=two_powers))
    assert (found.verdict, found.note) == (
        "fails",
        "filters differ in how concentrated their weights are",
    )


@pytest.mark.parametrize(
    "transform",
    [None, simulated.unequal_filters, simulated.correlated_blocks, simulated.unequal_positions],
)
def test_other_departures_are_no_difference_of_shape(transform):
    found = shape(simulated.layer(n=128, channels=16, transform=transform, seed=2))
    assert found.verdict == "holds"
    assert found.pvalue > 0.01
    assert found.details["norms_ratio"] == pytest.approx(1, abs=0.3)


def test_a_dead_filter_or_channel_is_left_out():
    def dead(array, rng):
        array[5], array[:, 3] = 0, 0
        array[5, 2, 4] = 1e-4  # one surviving weight
        return array

    found = shape(simulated.layer(n=64, channels=16, transform=dead))
    assert found.verdict == "holds"
    assert found.details["live_filters"] == 63

    def few_live(array, rng):
        return array * (np.arange(len(array)) < 5)[:, None, None]

    few = shape(simulated.layer(n=16, transform=few_live))
    assert few.reason == "5 live filters; 8 are needed"


@pytest.mark.parametrize(
    ("kernel", "channels", "missing"),
    [((3, 3), 1, "channels_ratio"), ((1, 1), 16, "positions_ratio"), ((3, 3), 2, "channels_ratio")],
)
def test_parts_that_do_not_apply_are_left_out(kernel, channels, missing):
    found = shape(simulated.layer(n=64, channels=channels, kernel=kernel))
    assert math.isfinite(found.effect)
    assert math.isnan(found.details[missing])
    single = shape(simulated.layer(n=64, channels=1, kernel=(1, 1)))
    assert single.reason == "one weight per filter: it has no shape"


def test_few_effective_dimensions_are_not_judged():
    def smooth(array, rng):
        lag = np.abs(np.subtract.outer(range(3), range(3)))
        covariance = np.kron(0.9**lag, 0.9**lag)
        return array @ np.linalg.cholesky(covariance).T

    found = shape(simulated.layer(n=64, channels=1, transform=smooth))
    assert found.verdict == "not applicable"
    assert "it is not known how much shapes differ by chance" in found.reason
    assert shape(simulated.layer(n=64, channels=1)).verdict != "not applicable"


def test_the_interval_below_one_is_that_of_the_norms():
    def uniform(array, rng):
        return rng.uniform(-1, 1, array.shape)

    lows = []
    for seed in range(40):
        found = shape(simulated.layer(n=64, channels=16, transform=uniform, seed=seed))
        lows.append(found.effect_low)
        assert found.effect_low < found.details["norms_ratio_low"] < found.effect
    assert sum(low > 0.48 for low in lows) <= 5  # the ratio of 4e6 such filters


def test_weights_of_one_size_have_no_spread_of_shape():
    found = shape(simulated.layer(n=32, transform=lambda array, rng: np.sign(array)))
    assert found.verdict == "holds"
    assert math.isfinite(found.theta)


def test_scales_of_filters_do_not_matter():
    layer = simulated.layer(n=32, channels=8, transform=two_powers)
    factor = np.random.default_rng(1).choice([0.1, 0.5, 2.0, 3.0], (32, 1, 1, 1))
    other = ConvLayer("conv", layer.weight * torch.from_numpy(factor))
    plain, scaled = shape(layer), shape(other)
    for name in ("effect", "effect_low", "effect_high"):
        assert getattr(scaled, name) == pytest.approx(getattr(plain, name), rel=1e-9)


def test_the_calibration_draws_no_filters_of_too_few_weights_for_its_effect():
    assert not DESIGNS["shape 2"].fits(Size(64, 9, 1))
    assert DESIGNS["shape 2"].fits(Size(64, 4, 9))


@pytest.mark.parametrize("effect", [1.0, 2.0, 4.0])
def test_the_law_of_the_calibration_has_its_effect(effect):
    rng = np.random.default_rng(0)
    size = type("Size", (), {"n_filters": 4000, "channels": 4, "kernel_size": 9, "dim": 36})
    array = shape.calibration.draw(rng, size, effect)
    found = shape(ConvLayer("conv", torch.from_numpy(array)))
    assert found.details["norms_ratio"] == pytest.approx(effect, rel=0.08)
    assert found.details["channels_ratio"] == pytest.approx(1, abs=0.05)
