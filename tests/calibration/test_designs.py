"""Simulated layers have the effects that they state."""

import math

import numpy as np
import pytest
from scipy import stats

from cwda.calibration.designs import DESIGNS, SIZES, Design, Size, alternatives
from cwda.conditions import CONDITIONS

MIXED = Design("mixed", mean=0.3, variance=0.6, epsilon=0.25, independence=0.06, homogeneity=0.2)
SIZE = Size(200_000, 3, 4)


@pytest.fixture(scope="module")
def filters():
    layer = MIXED.draw(SIZE, np.random.default_rng(1))
    return layer.weight.numpy().reshape(SIZE.n_filters, SIZE.dim)


def population_effects(filters):
    """The effects by their definitions, from the covariance matrix of very many filters."""
    covariance = np.cov(filters.T)
    second = (filters**2).mean(axis=0)
    block = np.arange(SIZE.dim) // SIZE.kernel_size
    same = block[:, None] == block
    off = ~np.eye(SIZE.dim, dtype=bool)
    variances = np.diagonal(covariance)
    return {
        "mean": math.sqrt((filters.mean(axis=0) ** 2).mean() / second.mean()),
        "variance": variances.std() / variances.mean(),
        "epsilon": math.sqrt((covariance[same & off] ** 2).mean()) / variances.mean(),
        "independence": math.sqrt((covariance[~same] ** 2).sum() / (variances**2).sum()),
    }


@pytest.mark.parametrize("condition", ["mean", "variance", "epsilon", "independence"])
def test_truth_is_the_effect_of_the_population(filters, condition):
    found = population_effects(filters)[condition]
    assert MIXED.truth(condition, SIZE) == pytest.approx(found, abs=0.006)


def test_rms_weight_and_scale(filters):
    assert (filters - filters.mean(axis=0)).var() == pytest.approx(1.0, abs=0.01)
    plain = Design("", homogeneity=0.2).draw(SIZE, np.random.default_rng(2)).weight.numpy()
    kurtosis = stats.kurtosis(plain.reshape(-1))  # 3 E s^4 - 3 of a lognormal scale
    assert kurtosis == pytest.approx(3 * math.exp(4 * 0.2**2) - 3, abs=0.05)


@pytest.mark.parametrize(
    "design",
    [
        Design("t", heavy=True),
        Design("mixture", gaussianity=0.05),
        Design("unequal", variance=0.8, homogeneity=0.3),
        Design("unequal and heavy", variance=0.8, heavy=True),
    ],
    ids=lambda design: design.name,
)
def test_distance_from_the_normal_law(design):
    weights = design.draw(Size(200_000, 2, 4), np.random.default_rng(3)).weight.numpy().ravel()
    standard = (weights - weights.mean()) / weights.std()
    found = stats.kstest(standard, "norm").statistic
    assert design.truth("gaussianity", Size(64, 2, 4)) == pytest.approx(found, abs=0.002)


def test_a_mixture_lies_at_the_wanted_distance():
    found = Design("", gaussianity=0.1).truth("gaussianity", SIZE)
    assert found == pytest.approx(0.1, abs=1e-9)


def test_designs_that_leave_out_a_condition_keep_its_null():
    for size in SIZES:
        for condition, about in CONDITIONS.items():
            assert DESIGNS["iid"].is_null(condition, size)
            if about.calibration.undisturbed:
                assert DESIGNS[f"all but {condition}"].is_null(condition, size)
            for name in alternatives(condition):
                design = DESIGNS[name]
                # Those that the laws have a parameter for; all depart from normality.
                others = {*design.parameters} & {*CONDITIONS} - {condition, "gaussianity"}
                if type(design) is Design:
                    assert all(design.is_null(other, size) for other in others)


def test_single_channels_and_positions_have_no_such_covariance():
    rng = np.random.default_rng(0)
    everything = DESIGNS["all but mean"]
    assert everything.draw(Size(16, 1, 9), rng).weight.isfinite().all()
    assert everything.truth("independence", Size(16, 1, 9)) == 0
    assert everything.draw(Size(16, 9, 1), rng).weight.isfinite().all()
    assert everything.truth("epsilon", Size(16, 9, 1)) == 0
