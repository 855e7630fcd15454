"""Each condition on layers whose truth is known: its own departure, and those of the others."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import cwda
import cwda.calibration
from cwda.conditions.built_in.covariance import energy_shares
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

from . import simulated

FUNCTIONS = cwda.conditions.CONDITIONS

DEPARTURES = [
    # condition, transform, mean, true effect (None: only that it fails)
    ("gaussianity", simulated.student, 0.0, None),
    ("variance", simulated.unequal_positions, 0.0, 0.6),
    ("mean", None, 0.5, 0.5 / math.sqrt(1.25)),
    ("epsilon", simulated.correlated_blocks, 0.0, 0.36),
    # covariances of .2 with the 135 weights of other channels
    ("independence", simulated.correlated_channels, 0.0, 0.2 * math.sqrt(135)),
    ("homogeneity", simulated.unequal_filters, 0.0, 0.4),
    ("shape", simulated.two_populations, 0.0, None),
    ("distinctness", simulated.copied_filters, 0.0, 0.25),
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_condition_holds_for_gaussian_filters(name):
    found = FUNCTIONS[name](simulated.layer(n=256, channels=16, seed=4))
    assert found.verdict == "holds"
    assert found.effect_low <= found.effect <= found.effect_high <= found.margin


@pytest.mark.parametrize(("name", "transform", "mean", "truth"), DEPARTURES)
def test_a_departure_is_found_by_its_own_condition(name, transform, mean, truth):
    layer = simulated.layer(n=256, channels=16, seed=1, mean=mean, transform=transform)
    found = FUNCTIONS[name](layer, margin=0.02)
    assert found.verdict == "fails"
    assert found.pvalue < 1e-3
    if truth is not None:
        assert found.effect == pytest.approx(truth, rel=0.12)
        assert found.effect_low <= truth * 1.05
        assert found.effect_high >= truth * 0.95


@pytest.mark.parametrize("name", ["epsilon", "independence"])
def test_a_mean_alone_is_no_covariance(name):
    found = FUNCTIONS[name](simulated.layer(n=200, channels=16, seed=2, mean=0.4))
    assert found.verdict == "holds"
    assert found.pvalue > 0.01


def test_correlation_inside_blocks_is_no_dependence_between_them():
    layer = simulated.layer(n=256, channels=16, transform=simulated.correlated_blocks)
    assert cwda.conditions.independence(layer).verdict == "holds"


def test_heavy_tails_are_no_difference_of_scale():
    layer = simulated.layer(n=128, channels=16, transform=simulated.student, seed=3)
    assert cwda.conditions.homogeneity(layer).pvalue > 0.01


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e30])
def test_effects_do_not_depend_on_the_unit_of_the_weights(name, factor):
    layer = simulated.layer(n=24, channels=4, seed=6, mean=0.1)
    scaled = ConvLayer("conv", layer.weight * factor)
    plain, other = FUNCTIONS[name](layer), FUNCTIONS[name](scaled)
    for field in ("effect", "effect_low", "effect_high", "statistic", "pvalue"):
        expected = getattr(plain, field)
        assert getattr(other, field) == pytest.approx(
            expected, rel=1e-8, abs=1e-12, nan_ok=field == "statistic"
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_the_filters_does_not_matter(seed):
    layer = simulated.layer(n=16, channels=4, seed=seed)
    order = np.random.default_rng(seed).permutation(16)
    shuffled = ConvLayer("conv", layer.weight[order])
    for function in FUNCTIONS.values():
        plain, other = function(layer), function(shuffled)
        assert other.effect == pytest.approx(plain.effect, rel=1e-8, abs=1e-9)
        assert other.pvalue == pytest.approx(plain.pvalue, rel=1e-8, abs=1e-12)


def test_estimates_are_in_units_of_the_weights():
    layer = simulated.layer(n=400, channels=4, seed=3, mean=0.5)
    doubled = ConvLayer("conv", layer.weight * 2)
    found = cwda.conditions.mean(doubled)
    assert found.estimate == pytest.approx(36 * 1.0**2, rel=0.1)  # |mu|^2, mu_p = 1, d = 36
    assert found.details["weight_mean"] == pytest.approx(1.0, abs=0.03)
    assert found.details["weight_sd"] == pytest.approx(2.0, rel=0.02)


def test_scalar_mean_agrees_with_scipy_and_pingouin():
    import pingouin
    from scipy import stats

    layer = simulated.layer(n=40, channels=4, seed=8, mean=0.02)
    found = cwda.conditions.mean(layer).details
    means = layer.filters.mean(axis=1)
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.9)
    assert found["weight_mean_low"] == pytest.approx(expected.low, rel=1e-9)
    assert found["weight_mean_high"] == pytest.approx(expected.high, rel=1e-9)
    bound = 0.1 * math.sqrt((layer.filters**2).mean())
    tost = pingouin.tost(means, 0, bound=bound)
    assert found["weight_mean_tost"] == pytest.approx(float(tost.iloc[0]["pval"]), rel=1e-7)


def test_homogeneity_counts_near_dead_filters():
    def kill(array, rng):
        array[:5] *= 0.001
        return array

    found = cwda.conditions.homogeneity(simulated.layer(n=64, channels=8, transform=kill))
    assert found.details["near_dead"] == 5
    assert found.verdict == "fails"
    assert found.details["effect_alive"] < 0.15 < 1 < found.effect


@pytest.mark.parametrize("dead", [2, 20])
def test_homogeneity_fails_where_filters_are_zero(dead):
    weight = torch.randn(64, 16, 9, generator=torch.Generator().manual_seed(1)).double()
    weight[:dead] = 0
    found = cwda.conditions.homogeneity(ConvLayer("conv", weight))
    assert found.verdict == "fails"
    assert found.details["near_dead"] == dead
    assert abs(found.details["effect_alive"]) < 0.1


def test_homogeneity_of_copied_channels_is_not_rejected():
    """Each channel is there twice: correlation of the halves is no scale of the filters."""
    rng = np.random.default_rng(3)
    filters = [np.repeat(rng.standard_normal((64, 8, 9)), 2, axis=1) for _ in range(60)]
    layers = [ConvLayer("conv", torch.from_numpy(each)) for each in filters]
    assert sum(cwda.conditions.homogeneity(layer).pvalue <= 0.05 for layer in layers) <= 6


def test_homogeneity_where_most_filters_are_dead():
    def kill(array, rng):
        array[:235] *= 1e-3
        return array

    layer = simulated.layer(n=256, channels=8, transform=kill)
    found = cwda.conditions.homogeneity(layer).details
    assert found["near_dead"] == 235
    assert found["effect_alive"] < 0.15
    assert found["norm_ratio_low"] < 1 < found["norm_ratio_high"]


def equal_norms(array, rng):
    return array / np.sqrt((array**2).sum((1, 2), keepdims=True))


def orthogonal(array, rng):
    return np.linalg.qr(array.reshape(len(array), -1).T)[0].T.reshape(array.shape)


def competing(array, rng):
    """Each channel's energy is shared out among the filters."""
    array = array / np.sqrt((array**2).sum((0, 2), keepdims=True))
    return array / np.sqrt((array**2).sum((1, 2), keepdims=True)) ** 0.6


@pytest.mark.parametrize("transform", [equal_norms, orthogonal, competing])
def test_norms_less_variable_than_cwda_allows_fail_in_these_words(transform):
    found = cwda.conditions.homogeneity(simulated.layer(n=64, channels=16, transform=transform))
    assert found.verdict == "fails"
    assert found.note == "norms less variable than CWDA allows"
    assert found.effect < 0
    assert found.details["norm_ratio_high"] < 0.5


@pytest.mark.parametrize(("transform", "n"), [(orthogonal, 16), (orthogonal, 64)])
def test_orthogonal_filters_are_no_evidence_of_scales_that_differ(transform, n):
    for seed in range(5):
        layer = simulated.layer(n=n, channels=16, seed=seed, transform=transform)
        found = cwda.conditions.homogeneity(layer)
        assert (found.verdict, found.note) == ("fails", "norms less variable than CWDA allows")
        assert found.pvalue > 0.5


def test_light_tails_are_named():
    # so that homogeneity can leave them out of what its verdicts claim
    assert "light tails" in cwda.calibration.DESIGNS["uniform"].departures


def test_scales_that_differ_fail_in_these_words():
    layer = simulated.layer(n=64, channels=16, transform=simulated.unequal_filters)
    found = cwda.conditions.homogeneity(layer)
    assert (found.verdict, found.note) == ("fails", "filters differ in scale")


def test_few_filters_hold_no_homogeneity_for_a_negative_estimate():
    rows = [cwda.conditions.homogeneity(simulated.layer(n=8, seed=seed)) for seed in range(40)]
    assert all(row.effect_high > 0 for row in rows)
    assert np.mean([row.verdict == "holds" for row in rows if row.effect < 0]) < 0.5
    assert not any(row.effect_low > row.margin for row in rows)


def test_energy_shares_of_known_covariance():
    layer = simulated.layer(n=2000, channels=4, transform=simulated.correlated_blocks)
    shares = cwda.conditions.epsilon(layer).details
    # d = 36 ones on the diagonal; 4 blocks of 72 covariances 0.36
    within = 4 * 72 * 0.36**2
    assert shares["energy_within"] == pytest.approx(within / (36 + within), rel=0.05)
    assert shares["energy_between"] == pytest.approx(0, abs=0.01)
    assert shares["effective_dim"] == pytest.approx(36**2 / (36 + within), rel=0.05)


def test_array_tensor_and_layer_give_the_same_result():
    layer = simulated.layer(n=16, channels=4)
    expected = cwda.conditions.epsilon(layer)
    for array in (layer.array, torch.from_numpy(layer.array.copy())):
        found = cwda.conditions.epsilon(array)
        assert found.effect == pytest.approx(expected.effect, rel=1e-12)
        assert (found.n_filters, found.dim) == (16, 36)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 4)), "N x k^2 x N'"),
        (np.zeros((0, 9, 4)), "N x k^2 x N'"),
    ],
)
def test_wrong_sources_are_told_in_one_line(source, message):
    with pytest.raises(cwda.CwdaError) as caught:
        cwda.conditions.mean(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.gpu
@pytest.mark.parametrize("name", FUNCTIONS)
def test_cuda_gives_the_numbers_of_the_cpu(name):
    layer = simulated.layer(n=48, channels=8, transform=simulated.unequal_filters)
    cpu, gpu = FUNCTIONS[name](layer, device="cpu"), FUNCTIONS[name](layer, device="cuda")
    assert gpu.effect == pytest.approx(cpu.effect, rel=1e-9)
    assert gpu.pvalue == pytest.approx(cpu.pvalue, rel=1e-6, abs=1e-300)


def orthogonal(n, channels, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(channels * 9, n, generator=generator, dtype=torch.float64)
    filters = torch.linalg.qr(square).Q.T
    return ConvLayer("conv", filters.reshape(n, channels, 3, 3).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seed", range(3))
def test_orthogonal_filters_have_no_verdict_on_what_rounding_left(dtype, seed):
    layer = orthogonal(64, 16, dtype, seed)
    mean, independence = cwda.conditions.mean(layer), cwda.conditions.independence(layer)
    assert (mean.effect, mean.statistic, mean.pvalue) == (0, 0, 1)
    assert independence.verdict == "not applicable"
    assert "closer to orthogonal than independent draws" in independence.reason
    assert cwda.conditions.epsilon(layer).verdict != "holds"
    shares = energy_shares(Workspace(layer, torch.device("cpu")))
    assert math.isnan(shares["effective_dim"])
    assert all(0 <= shares[f"energy_{part}"] <= 1 for part in ("diagonal", "within", "between"))


@pytest.mark.parametrize("name", ["variance", "epsilon", "independence"])
@pytest.mark.parametrize("shift", [0.3, 0.7, 3.0])
def test_second_order_effects_ignore_a_mean_that_varies_over_positions(name, shift):
    layer = simulated.layer(n=24, channels=8, seed=3, transform=simulated.correlated_blocks)
    mean = shift * torch.randn(8, 3, 3, generator=torch.Generator().manual_seed(1)).double()
    moved = ConvLayer("conv", layer.weight + mean)
    plain, other = FUNCTIONS[name](layer), FUNCTIONS[name](moved)
    for field in ("effect", "effect_low", "effect_high", "statistic", "theta", "theta_se"):
        assert getattr(other, field) == pytest.approx(getattr(plain, field), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", ["mean", "variance", "epsilon", "independence"])
def test_negative_estimates_neither_fail_nor_narrow_the_interval(name):
    """Squared effects keep their sign; the verdict on them never rests on it."""
    negative = 0
    for seed in range(60):
        found = FUNCTIONS[name](simulated.layer(n=8, channels=4, seed=seed), margin=1e-9)
        assert found.theta_se > 0
        assert found.effect == pytest.approx(math.sqrt(max(found.theta, 0)))
        if found.theta <= 0:
            negative += 1
            assert found.effect_low == 0 < found.effect_high
            assert found.verdict == "inconclusive"
    assert negative > 10


def test_filters_of_which_all_but_one_are_equal_have_a_reason():
    weight = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    weight = weight.repeat(16, 1, 1, 1)
    weight[3] *= -1
    row = cwda.conditions.variance(ConvLayer("conv", weight))
    assert row.verdict == "not applicable"
    assert row.reason == "all filters but one or two are equal: nothing else varies"


def test_logarithms_of_pvalues_go_beyond_float64():
    found = cwda.conditions.mean(simulated.layer(n=1600, channels=4, seed=1, mean=3.0))
    assert found.pvalue == 0
    assert -1e6 < found.log10_pvalue < -308
