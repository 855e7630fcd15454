"""Swap probabilities: closed form, integral, simulation; the interval of the signal."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.theory.criteria import CRITERIA
from cwda.theory.live_fit import widest_law
from cwda.theory.log_scores.score_moments import importance_scores
from cwda.theory.model import fit_layer
from cwda.theory.rungs import FRESH, ISOTROPIC
from cwda.theory.score_law import LAWS, ScoreLaw, score_law
from cwda.theory.swaps import (
    apart_below,
    discrimination,
    own_scales,
    reliability_of_swaps,
    signal_interval,
    swap_probability,
    swaps_of_scores,
)
from tests.theory.test_closed_form import draw, layer


def by_integration(ratio, reliability):
    """P(x_i < c, x_j > c, x'_i > x'_j) / (r (1 - r)) over the fresh scores x'."""
    c, root = stats.norm.ppf(ratio), math.sqrt(1 - reliability**2)

    def pruned(y):
        return stats.norm.pdf(y) * stats.norm.cdf((c - reliability * y) / root)

    def kept_below(y):
        grid = np.linspace(-9, y, 4001)
        values = stats.norm.pdf(grid) * stats.norm.sf((c - reliability * grid) / root)
        return integrate.simpson(values, x=grid)

    total, _ = integrate.quad(lambda y: pruned(y) * kept_below(y), -9, 9, epsabs=1e-12)
    return total / (ratio * (1 - ratio))


@pytest.mark.parametrize(("ratio", "reliability"), [(0.5, 0.3), (0.1, 0.8), (0.7, 0.95)])
def test_closed_form_is_the_integral(ratio, reliability):
    expected = by_integration(ratio, reliability)
    assert float(swap_probability(ratio, reliability)) == pytest.approx(expected, abs=1e-8)


def test_half_of_the_filters():
    reliability = np.linspace(0, 1, 11)
    expected = 0.5 - 2 / math.pi * np.arcsin(reliability / math.sqrt(2))
    assert swap_probability(0.5, reliability) == pytest.approx(expected, abs=1e-14)


@given(st.floats(0.01, 0.99), st.floats(0, 0.99), st.floats(0.001, 0.01))
def test_limits_and_order(ratio, reliability, more):
    assert float(swap_probability(ratio, 0)) == pytest.approx(0.5, abs=1e-12)
    assert float(swap_probability(ratio, 1)) == pytest.approx(0, abs=1e-11)
    found = float(swap_probability(ratio, reliability))
    assert found == pytest.approx(float(swap_probability(1 - ratio, reliability)), abs=1e-10)
    assert float(swap_probability(ratio, reliability + more)) < found


@pytest.mark.parametrize(
    ("ratio", "reliability"), [(0, 0.5), (1, 0.5), (math.nan, 0.5), (0.5, -0.1), (0.5, 1.1)]
)
def test_impossible_numbers(ratio, reliability):
    with pytest.raises(CwdaError, match="lies between 0 and 1"):
        swap_probability(ratio, reliability)


def swapped(x, fresh, pruned):
    """Share of pairs across the threshold of x that `fresh` orders the other way."""
    order = x.argsort()
    return float((fresh[order[:pruned], None] > fresh[order[pruned:]]).mean())


@pytest.mark.parametrize(("n", "ratio"), [(16, 0.5), (64, 0.25), (256, 0.1)])
def test_normal_scores_of_one_layer(n, ratio):
    """Both forms against fresh draws: on average over layers, and given the scores."""
    rng, law = np.random.default_rng(n), ScoreLaw(0.0, 0.03, 0.01)
    pruned, simulated, conditional = int(ratio * n), [], []
    for _ in range(1500):
        theta = math.sqrt(law.signal) * rng.standard_normal(n)
        x, fresh = theta + math.sqrt(law.noise) * rng.standard_normal((2, n))
        simulated.append(swapped(x, fresh, pruned))
        conditional.append(swaps_of_scores(x, pruned, law).mean)
    error = np.std(simulated) / math.sqrt(len(simulated))
    assert np.mean(conditional) == pytest.approx(np.mean(simulated), abs=4 * error)
    closed = float(swap_probability(ratio, law.signal_share))
    assert closed == pytest.approx(np.mean(simulated), abs=4 * error + 0.15 / n)


@pytest.mark.parametrize("scale", [0.05, 0.15])
def test_fresh_draws_of_a_layer(scale):
    """Filters of normal log-scales, new ones in each layer, drawn twice and scored."""
    rng, shape, swaps = np.random.default_rng(1), (128, 16, 9), []
    for _ in range(90):
        s = np.exp(scale * rng.standard_normal(128))[:, None, None]
        pair = torch.from_numpy(s * rng.standard_normal((2, *shape))).flatten(2)
        scores = importance_scores(pair).numpy()
        swaps.append([swapped(*scores[:, i], 64) for i in range(len(CRITERIA))])
    known = fit_layer(layer(draw(rng, n=128, dim=144)), device="cpu")
    for i, criterion in enumerate(CRITERIA):
        law = score_law(ISOTROPIC(known), criterion).with_signal(scale**2)
        simulated, error = np.mean(swaps, 0)[i], np.std(swaps, 0)[i] / math.sqrt(len(swaps))
        closed = float(swap_probability(0.5, law.signal_share))
        assert closed == pytest.approx(simulated, abs=3 * error), criterion
        assert error < 0.005


@pytest.mark.parametrize("reliability", [0.3, 0.8])
def test_scatter_is_that_of_the_filters_own_scales(reliability):
    """Given the scores, the signals are drawn: how far the mean over pairs moves with them."""
    rng, law = np.random.default_rng(0), ScoreLaw(0.0, 0.04, 0.04 * (1 / reliability - 1))
    n, pruned = 24, 8
    x = math.sqrt(law.variance) * np.sort(rng.standard_normal(n))
    own = np.zeros(n, dtype=bool)
    own[[0, -1]] = True
    known, spread = reliability * x, math.sqrt(law.variance * reliability * (1 - reliability))
    known[own], spread = x[own], np.where(own, math.sqrt(law.noise), spread)
    means = []
    for _ in range(4000):
        theta = known + spread * rng.standard_normal(n)
        gaps = theta[pruned:] - theta[:pruned, None]
        means.append(stats.norm.cdf(-gaps / math.sqrt(2 * law.noise)).mean())
    found = swaps_of_scores(x, pruned, law, own)
    assert found.mean == pytest.approx(np.mean(means), abs=0.003)
    assert found.scatter == pytest.approx(np.std(means), rel=0.1)


def test_the_inverse_of_swap_probability():
    reliability = np.array([0.0, 0.1, 0.5, 0.9, 0.99, 1.0])
    for ratio in (0.1, 0.5, 0.8):
        swap = swap_probability(ratio, reliability)
        assert reliability_of_swaps(ratio, swap) == pytest.approx(reliability, abs=1e-4)


def test_swaps_of_scores_by_loops():
    law, x = ScoreLaw(0.0, 0.04, 0.01), np.array([0.5, -0.4, 0.0, -0.1, 0.3])
    spread = math.sqrt(2 * 0.05 * (1 - 0.8**2))
    pairs = [(i, j) for i in (-0.4, -0.1) for j in (0.0, 0.3, 0.5)]
    expected = np.mean([stats.norm.cdf(-0.8 * (j - i) / spread) for i, j in pairs])
    found = swaps_of_scores(x, 2, law)
    assert found.mean == pytest.approx(expected, rel=1e-12)
    assert found.nearest == pytest.approx(stats.norm.cdf(-0.8 * 0.1 / spread), rel=1e-12)


def test_no_signal_is_a_coin_and_dead_filters_stay_dead():
    x = np.array([-np.inf, -np.inf, 0.0, 0.1])
    for signal in (0.0, 0.1):
        assert swaps_of_scores(x, 2, ScoreLaw(0.0, signal, 0.01))[:2] == (0.0, 0.0)
    near = np.array([-3.0, -3.0, 0.0, 0.1])
    assert swaps_of_scores(near, 2, ScoreLaw(0.0, 0.0, 0.01))[:2] == (0.5, 0.5)
    own = own_scales(near, ScoreLaw(0.0, 0.0, 0.01))
    assert own.tolist() == [True, True, False, False]
    assert swaps_of_scores(near, 2, ScoreLaw(0.0, 0.0, 0.01), own).mean < 1e-12
    assert swaps_of_scores(x, 1, ScoreLaw(0.0, 0.1, 0.01)).nearest == 0.5
    with pytest.raises(CwdaError, match="1 to 3 filters"):
        swaps_of_scores(x, 4, ScoreLaw(0.0, 0.1, 0.01))


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_near_dead_filters_among_themselves(scale):
    """40 of 64 near dead: below all others, and as distinct as their own scales are."""
    rng, law = np.random.default_rng(6), ScoreLaw(0.0, 0.01, 0.01)
    stated, seen = [], []
    for _ in range(100):
        theta = np.concatenate([-4 + scale * rng.normal(size=40), 0.1 * rng.normal(size=24)])
        x, fresh = theta + 0.1 * rng.normal(size=(2, 64))
        stated.append(swaps_of_scores(x, 32, law, own_scales(x, law)).mean)
        seen.append(swapped(x, fresh, 32))
    error = np.std(seen) / 10
    # an estimated signal cannot be negative
    assert np.mean(stated) == pytest.approx(np.mean(seen), abs=3 * error + 0.01)
    assert (np.mean(seen) > 0.1) == (scale == 0)


def test_apart_needs_depth_and_a_gap():
    law, live = ScoreLaw(0.0, 0.0, 0.01), np.linspace(-0.2, 0.2, 20)
    assert not apart_below(live, law).any()
    tail = np.concatenate([-0.2 - 0.2 * np.arange(1, 9), live])  # deep, and no gap
    assert not apart_below(tail, law).any()
    assert apart_below(np.concatenate([[-0.9, -0.8], live]), law).sum() == 2
    assert apart_below(np.concatenate([[-np.inf, -np.inf, -0.9], live]), law).sum() == 3
    assert not apart_below(np.concatenate([live, [0.9]]), law).any()


@pytest.mark.parametrize("n", [16, 64])
def test_interval_of_the_signal_covers(n):
    rng, scale, inside = np.random.default_rng(2), 0.2, 0
    for _ in range(300):
        low, high = signal_interval(fit_layer(layer(draw(rng, n=n, dim=36, scale=scale))))
        inside += low <= scale**2 <= high
    # standard error of a share of .95 in 300 draws is .013
    assert 0.89 <= inside / 300 <= 0.99


def test_verdicts_at_their_limits():
    assert discrimination(0.10) == "discriminates"
    assert discrimination(0.1001) == discrimination(0.25) == "weakly"
    assert discrimination(0.2501) == "cannot discriminate"


def test_filters_apart_are_sought_about_the_law_of_fresh_ones():
    """Directions that channels share scatter the log of l1; its median is matched to FRESH."""
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 16, 3, 3, generator=rng)
    weight += 2 * torch.randn(64, 1, 1, 1, generator=rng) * torch.randn(16, 3, 3, generator=rng)
    fitted = fit_layer(ConvLayer("conv", weight))
    assert fitted.effective_dim < 20
    for name in LAWS:
        fresh = score_law(FRESH(fitted), name)
        median = float(fresh.latent(fresh.quantile(np.array(0.5))))
        assert widest_law(fitted, name).location == pytest.approx(median, abs=1e-6)
