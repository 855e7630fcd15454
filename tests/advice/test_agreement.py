"""Agreement beyond chance and beyond noise: against loops, and against draws."""

import itertools
import math

import numpy as np
import pytest
import torch

from cwda.advice.agreement import Differences, agree
from cwda.advice.clusters import clusters, stand_in
from cwda.advice.layers import differences_of
from cwda.layers import ConvLayer
from cwda.scoring.error_bars.pruned_sets import kappa_of_latent, latent_of_kappa, slope_of_latent
from cwda.scoring.scores import LayerScores

RATIO = 0.5


def differences(scores, ratio=RATIO, redrawn=()):
    """Those of scores, layers x criteria x filters."""
    return differences_of(layers_of(scores), ratio, dict(redrawn), scores.shape[1])


def layers_of(scores):
    """Scores, layers x criteria x filters, as the package hands them on."""
    names = tuple(f"c{i}" for i in range(scores.shape[1]))
    blank = torch.zeros(scores.shape[2], 2, 1, 1)
    return [
        LayerScores(
            ConvLayer(f"layer{at}", blank), names, torch.from_numpy(one), ("",) * one.shape[0]
        )
        for at, one in enumerate(scores)
    ]


def cohen(a, b):
    """Cohen (1960), equation 1, on two lists of whether a filter is pruned."""
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    expected = (sum(a) * sum(b) + (n - sum(a)) * (n - sum(b))) / n**2
    return (observed - expected) / (1 - expected)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7])
def test_kappa_of_a_layer_is_cohens(ratio):
    scores = np.random.default_rng(0).normal(size=(1, 3, 40))
    scores[:, 1] += scores[:, 0]
    found = agree(differences(scores, ratio)).kappa
    pruned = scores[0].argsort(1).argsort(1) < math.floor(ratio * 40 + 1e-9)
    for a, b in itertools.product(range(3), repeat=2):
        assert found[a, b] == pytest.approx(cohen(pruned[a].tolist(), pruned[b].tolist()))
        # the correlation of the indicators, by numpy
        assert found[a, b] == pytest.approx(np.corrcoef(pruned[a], pruned[b])[0, 1])


def test_layers_are_pooled_filter_by_filter_and_left_out_in_turn():
    rng = np.random.default_rng(1)
    sizes = [8, 16, 32, 64, 64]
    scores = [rng.normal(size=(2, n)) for n in sizes]
    for slope, one in enumerate(scores):
        one[1] += 3 * slope * one[0]
    layers = [layers_of(one[None])[0] for one in scores]
    found = agree(differences_of(layers, RATIO, {}, 2))
    differing, chance = [], []
    for one, n in zip(scores, sizes, strict=True):
        a, b = ({*np.argsort(row)[: n // 2]} for row in one)
        differing.append(len(a - b))
        chance.append(n / 4)
    assert found.kappa[0, 1] == pytest.approx(1 - sum(differing) / sum(chance))
    z = []
    for out in range(5):
        rest = [i for i in range(5) if i != out]
        z.append(math.atanh(1 - sum(differing[i] for i in rest) / sum(chance[i] for i in rest)))
    # Jackknife; 2.776445 is the .975 quantile of Student's t with 4 degrees of freedom (R, qt).
    radius = 2.776445 * math.sqrt(4 / 5 * sum((x - sum(z) / 5) ** 2 for x in z))
    middle = math.atanh(found.kappa[0, 1])
    assert found.kappa_low[0, 1] == pytest.approx(math.tanh(middle - radius), rel=1e-6)
    assert found.kappa_high[0, 1] == pytest.approx(math.tanh(middle + radius), rel=1e-6)
    assert found.corrected[0, 1] == found.kappa[0, 1]


def test_layers_that_agree_alike_leave_the_scatter_of_filters():
    """Each of 4 layers differs in 2 of 8 filters pruned: D = 8 of 32, chance 16."""
    differing = np.tile([[0.0, 2.0], [2.0, 0.0]], (4, 1, 1))
    sizes = np.full(4, 8.0), np.full(4, 4.0)
    found = agree(Differences(0.5, differing, *sizes, np.zeros((4, 2))))
    assert found.kappa[0, 1] == 0.5
    # cells 24, 8, 8, 24 of 64 filters: SE of D sqrt(3), of kappa over 16, of z over 1 - 1/4;
    # 3.182446 is the .975 quantile of Student's t with 3 degrees of freedom (R, qt).
    radius = 3.182446 * math.sqrt(3) / 16 / 0.75
    assert found.kappa_low[0, 1] == pytest.approx(math.tanh(math.atanh(0.5) - radius), rel=1e-6)


def test_intervals_need_layers_and_hold_where_nothing_differs():
    scores = np.random.default_rng(2).normal(size=(6, 1, 32)).repeat(2, axis=1)
    found = agree(differences(scores))
    assert found.kappa[0, 1] == found.kappa_high[0, 1] == 1
    # of 48 differences expected by chance none came: 1 - 3.689 / 48
    assert found.kappa_low[0, 1] == pytest.approx(1 + math.log(0.025) / 48)
    few = agree(differences(scores[:3]))
    assert np.isnan(few.kappa_low[0, 1])
    assert few.kappa[0, 1] == 1


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_latent_correlation_and_agreement_are_inverse(ratio):
    rho = np.linspace(-0.8, 0.999, 37)
    assert latent_of_kappa(kappa_of_latent(rho, ratio), ratio) == pytest.approx(rho, abs=1e-5)
    assert kappa_of_latent(1.0, ratio) == pytest.approx(1)
    assert kappa_of_latent(0.0, ratio) == pytest.approx(0, abs=1e-14)
    assert np.isnan(latent_of_kappa(math.nan, ratio))


def drawn(rng, layers, n, rho, reliability, ratio):
    """Differences of two criteria, the second noisy, with its share redrawn from two draws."""
    theta = rng.normal(size=(layers, 2, n))
    theta[:, 1] = rho * theta[:, 0] + math.sqrt(1 - rho**2) * theta[:, 1]
    noise = math.sqrt(1 / reliability - 1)
    first, second = (theta[:, 1] + noise * rng.normal(size=(layers, n)) for _ in range(2))
    pruned = math.floor(ratio * n + 1e-9)
    redrawn = {
        (f"layer{at}", "c1"): len({*a.argsort()[:pruned]} - {*b.argsort()[:pruned]}) / pruned
        for at, (a, b) in enumerate(zip(first, second, strict=True))
    }
    return differences(np.stack([theta[:, 0], first], 1), ratio, redrawn)


@pytest.mark.parametrize(("rho", "ratio"), [(0.6, 0.5), (0.9, 0.5), (0.9, 0.2)])
def test_noise_is_taken_off(rho, ratio):
    """400 layers of 64 filters, reliability .7."""
    found = agree(drawn(np.random.default_rng(3), 400, 64, rho, 0.7, ratio))
    without = float(kappa_of_latent(rho, ratio))
    assert found.corrected[0, 1] == pytest.approx(without, abs=0.025)
    assert found.kappa[0, 1] < without - 0.06
    assert found.latent_reliability == pytest.approx([1, 0.7], abs=0.03)
    assert found.corrected_low[0, 1] < without < found.corrected_high[0, 1]


def test_intervals_cover():
    """100 networks of 20 layers: .95 intervals of the corrected kappa cover .88 or more."""
    rng = np.random.default_rng(4)
    truth = float(kappa_of_latent(0.85, RATIO))
    hits = 0
    for _ in range(100):
        found = agree(drawn(rng, 20, 32, 0.85, 0.75, RATIO))
        hits += found.corrected_low[0, 1] <= truth <= found.corrected_high[0, 1]
    assert hits >= 88


def test_a_criterion_that_disagrees_by_noise_alone_is_no_cluster_of_its_own():
    found = agree(drawn(np.random.default_rng(5), 40, 64, 0.97, 0.7, RATIO))
    assert clusters(found.kappa) == [[0], [1]]
    assert clusters(found.corrected) == [[0, 1]]


def test_a_correction_beyond_one_is_told():
    rng = np.random.default_rng(6)
    scores = rng.normal(size=(8, 2, 32))
    scores[:, 1] = scores[:, 0] + 0.1 * scores[:, 1]
    redrawn = {(f"layer{at}", "c1"): 0.25 for at in range(8)}
    found = agree(differences(scores, RATIO, redrawn))
    assert found.over[0, 1]
    assert found.corrected[0, 1] == 1


@pytest.mark.parametrize(
    ("apart", "share"), [([2] * 6, 0.005), ([1, 2, 3, 2, 2, 1], 0.25), ([0] * 6, 0.005)]
)
def test_taking_off_noise_does_not_take_off_the_scatter_of_filters(apart, share):
    """Six layers of 32 filters: however alike the layers, few filters differ."""
    differing = np.array([[[0.0, d], [d, 0.0]] for d in apart])
    sizes = np.full(6, 16.0), np.full(6, 8.0)
    redrawn = np.tile([0.0, 16 * share], (6, 1))
    found = agree(Differences(0.5, differing, *sizes, redrawn))
    low, high = found.corrected_low[0, 1], found.corrected_high[0, 1]
    assert low <= found.corrected[0, 1] <= high
    # the interval as measured is as wide as the filters make it, the upper half is cut off at 1
    measured = found.kappa_high[0, 1] - found.kappa_low[0, 1]
    assert high - low > 0.4 * measured
    assert low < 0.93


def test_the_scatter_is_carried_to_the_corrected_scale():
    """12 of 96 differ, 1 - 12 / 48 = .75; half of the filters of six layers of 32 are pruned."""
    differing = np.tile([[0.0, 2.0], [2.0, 0.0]], (6, 1, 1))
    redrawn = np.tile([0.0, 1.0], (6, 1))
    found = agree(Differences(0.5, differing, np.full(6, 16.0), np.full(6, 8.0), redrawn))
    # kappa = 2 asin(rho) / pi; SE of D sqrt(1 / (2/84 + 2/12)) = 2.29; t(5) at .975 is 2.570582 (R)
    rho, own = (math.sin(math.pi / 2 * (1 - d / 48)) for d in (12, 6))
    error = (2 / 84 + 2 / 12) ** -0.5 / 48 * math.pi / 2 * math.sqrt(1 - rho**2) / math.sqrt(own)
    low = 2 / math.pi * math.asin(rho / math.sqrt(own) - 2.570582 * error)
    assert found.corrected_low[0, 1] == pytest.approx(low, rel=1e-4)


def test_the_slope_is_the_derivative():
    rho = np.linspace(-0.9, 0.95, 9)
    for ratio in (0.2, 0.5):
        rise = kappa_of_latent(rho + 1e-4, ratio) - kappa_of_latent(rho - 1e-4, ratio)
        assert slope_of_latent(rho, ratio) == pytest.approx(rise / 2e-4, rel=1e-4)


def test_noise_alone_agrees_with_nothing():
    differing = np.tile([[0.0, 8.0], [8.0, 0.0]], (5, 1, 1))
    redrawn = np.tile([0.0, 8.0], (5, 1))
    found = agree(Differences(0.5, differing, np.full(5, 16.0), np.full(5, 8.0), redrawn))
    assert np.isnan(found.corrected[0, 1])
    assert found.latent_reliability[1] == pytest.approx(0)
    assert clusters(found.corrected) == [[0], [1]]


def test_any_two_of_a_cluster_agree():
    rng = np.random.default_rng(7)
    loadings = rng.uniform(0.6, 1, size=12)
    agreement = np.outer(loadings, loadings)
    np.fill_diagonal(agreement, 1)
    found = clusters(agreement, 0.7)
    assert sorted(itertools.chain(*found)) == [*range(12)]
    for group in found:
        assert all(agreement[a, b] >= 0.7 for a, b in itertools.combinations(group, 2))
        # the stand-in among equals agrees most with the others
        chosen = stand_in(group, ["filter"] * 12, agreement)
        assert loadings[chosen] == max(loadings[at] for at in group)
