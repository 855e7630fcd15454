"""Simulated layers have the effects that they state."""

import math

import numpy as np
import pytest
from scipy import stats

from cwda.calibration.designs import DESIGNS, SIZES, STRUCTURES, alternatives
from cwda.calibration.laws import Design, Size, Tuned
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
                if not design.fits(size):
                    continue
                assert design.truth(condition, size) == pytest.approx(DESIGNS[name].effect)
                # Unequal scales of filters or positions depart from normality, too.
                others = {"mean", "variance", "epsilon", "independence", "homogeneity"}
                others -= {condition, *(design.departures & {"homogeneity"})}
                if isinstance(design, Tuned):
                    assert all(design.is_null(other, size) for other in others & {*CONDITIONS})


def test_single_channels_and_positions_have_no_such_covariance():
    rng = np.random.default_rng(0)
    everything = DESIGNS["all but mean"]
    assert everything.draw(Size(16, 1, 9), rng).weight.isfinite().all()
    assert everything.truth("independence", Size(16, 1, 9)) == 0
    assert everything.draw(Size(16, 9, 1), rng).weight.isfinite().all()
    assert everything.truth("epsilon", Size(16, 9, 1)) == 0


#: Laws whose filters are independent draws, at a size where each fits.
INDEPENDENT = [law for law in STRUCTURES.values() if "dependent filters" not in law.departures]


def small(law):
    return next(
        Size(40_000, *shape) for shape in ((6, 4), (3, 4)) if law.fits(Size(40_000, *shape))
    )


@pytest.mark.parametrize("law", INDEPENDENT, ids=lambda law: law.name)
def test_moments_are_those_of_many_filters(law):
    size = small(law)
    weights = law.filters(size, np.random.default_rng(5)).reshape(size.n_filters, size.dim)
    moments = law.moments(size)
    scale = math.sqrt(moments.variances.mean())
    np.testing.assert_allclose(weights.mean(axis=0), moments.means, atol=0.05 * scale)
    covariance = np.cov(weights.T)
    found = covariance / covariance.diagonal().mean()
    expected = moments.covariance / moments.variances.mean()
    np.testing.assert_allclose(found, expected, atol=0.1)
    pooled = (weights - weights.mean()) / weights.std()
    if not math.isnan(law.distance(size)):
        found = stats.kstest(pooled.ravel(), "norm").statistic
        assert law.distance(size) == pytest.approx(found, abs=0.006)
    effects = law._population(size).parameters
    assert {name for name in ("mean", "epsilon", "independence") if effects[name]} == (
        law.departures & {"mean", "epsilon", "independence"}
    )


@pytest.mark.parametrize("law", INDEPENDENT, ids=lambda law: law.name)
def test_effects_follow_from_the_moments(law):
    """Each effect by plain loops over the elements of Sigma."""
    size = small(law)
    moments, k2 = law.moments(size), size.kernel_size
    sums, counts = {"epsilon": 0.0, "independence": 0.0}, {"epsilon": 0, "independence": 0}
    for p in range(size.dim):
        for q in range(size.dim):
            if p != q:
                where = "epsilon" if p // k2 == q // k2 else "independence"
                sums[where] += moments.covariance[p, q] ** 2
                counts[where] += 1
    for name, total in sums.items():
        expected = math.sqrt(total / counts[name]) / moments.variances.mean()
        assert moments.effects[name] == pytest.approx(expected, abs=1e-6)


def test_scales_scatter_as_stated():
    rng, size = np.random.default_rng(6), Size(40_000, 1, 64)
    for name in ("log scales 0.3", "log scales 0.8", "small filters 0.125", "small filters 0.5"):
        law = STRUCTURES[name]
        norms = np.linalg.norm(law.filters(size, rng).reshape(size.n_filters, -1), axis=1)
        noise = 1 / (2 * size.dim)  # Var(log norm) of standard filters
        spread = law._population(size).parameters["homogeneity"]
        assert np.log(norms).var() - noise == pytest.approx(spread**2, rel=0.05, abs=0.002)


def test_filters_that_depend_do_so_as_stated():
    rng, size = np.random.default_rng(7), Size(16, 4, 9)

    def cosines(name):
        filters = STRUCTURES[name].filters(size, rng).reshape(16, -1)
        unit = filters / np.linalg.norm(filters, axis=1, keepdims=True)
        return unit @ unit.T

    np.testing.assert_allclose(cosines("orthogonal"), np.eye(16), atol=1e-12)
    for name, sign in (("copies", 1), ("flipped copies", -1)):
        partners = np.abs(cosines(name) - np.eye(16)).max(axis=1) > 0.99
        assert partners.sum() == 8
        assert sign * cosines(name)[0, 1] > 0.99
    inside = np.kron(np.eye(4), np.ones((4, 4))) - np.eye(16)
    assert cosines("clusters")[inside > 0].mean() == pytest.approx(0.5, abs=0.1)
    assert not any(
        STRUCTURES[name].is_null(condition, size)
        for name in ("orthogonal", "copies", "clusters")
        for condition in CONDITIONS
    )


def test_two_populations_are_strong_in_opposite_channels():
    for halves in ("even", "first", "random"):
        law = STRUCTURES[f"populations {halves}"]
        filters = law.filters(Size(2000, 4, 64), np.random.default_rng(8))
        energy = (filters**2).mean(axis=2)
        strong = energy > 1
        assert (strong.sum(axis=1) == 2).mean() > 0.9
        assert energy[strong].mean() == pytest.approx(1.6, abs=0.02)
        assert energy[~strong].mean() == pytest.approx(0.4, abs=0.02)
