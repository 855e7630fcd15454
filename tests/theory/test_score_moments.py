"""Cross-fitted moments of log-scores, dead filters, and the error of the model."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.layers import ConvLayer
from cwda.theory import expected_spearman, predict, simulate, spearman_with_dead
from cwda.theory.log_scores.model_error import FREEDOM, ModelError
from cwda.theory.log_scores.score_draws import drawn_scores
from cwda.theory.log_scores.score_moments import (
    LogScores,
    ScoreMoments,
    correlation,
    log_scores,
    robust_correlation,
)

RNG = np.random.default_rng


def conv(x):
    return ConvLayer("conv", torch.from_numpy(x).reshape(len(x), -1, 3, 3))


def filters(seed, n=48, scale=0.2):
    rng = RNG(seed)
    return rng.standard_normal((n, 144)) * np.exp(scale * rng.standard_normal((n, 1)))


def moments_of(x):
    return LogScores(conv(x), torch.device("cpu")).moments


def moments(rho, n, live, zero=0):
    matrix = np.full((4, 4), rho) + (1 - rho) * np.eye(4)
    return ScoreMoments(matrix, np.zeros((4, 4)), matrix, n, live, zero)


def test_winsorised_correlation_is_the_plain_loop():
    x = RNG(0).standard_t(3, (2, 51))
    cut = []
    for row in x:
        middle = np.median(row)
        limit = 2.0 * 1.4826 * np.median(abs(row - middle))
        cut.append([min(max(value - middle, -limit), limit) for value in row])
    winsorised = np.corrcoef(cut)[0, 1]
    # the correlation rho of normal variables whose winsorised correlation this is, by quadrature
    rho = float(robust_correlation(x, [2.0])[0, 0, 1])
    z = np.linspace(-8, 8, 1601)
    one, other = np.meshgrid(z, z)
    density = np.exp(-(one**2 - 2 * rho * one * other + other**2) / (2 * (1 - rho**2)))
    one, other = np.clip(one, -2, 2), np.clip(other, -2, 2)
    expected = (density * one * other).sum() / (density * one**2).sum()
    assert winsorised == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.7, 0.97])
def test_robust_correlation_is_consistent_at_the_normal_law(rho):
    x, e = RNG(1).standard_normal((2, 200_000))
    found = robust_correlation(np.stack([x, rho * x + math.sqrt(1 - rho**2) * e]), [1.5, 2.0, 3.0])
    assert found[:, 0, 1] == pytest.approx(rho, abs=0.005)


def test_single_filters_do_not_decide():
    x = filters(2)
    before = moments_of(x).correlations[0, 1]
    x[0] *= 0
    x[0, 5] = 60.0  # one weight: by far the peakiest filter
    after = moments_of(x)
    assert after.correlations[0, 1] == pytest.approx(before, abs=0.05)
    assert after.measured[0, 1] < before - 0.5


def test_order_of_the_filters_and_unit_do_not_matter():
    x = filters(3)
    one, other = moments_of(x), moments_of(1e-20 * x[RNG(0).permutation(len(x))])
    assert one.correlations == pytest.approx(other.correlations, abs=1e-9)
    assert one.misfit == pytest.approx(other.misfit, abs=1e-7)


def test_log_scores_rank_as_the_scores_do():
    x = filters(4, n=24) + 0.2
    logs, zero, lowest = log_scores(torch.from_numpy(x))
    distances = np.linalg.norm(x[:, None] - x, axis=2).sum(axis=1)
    assert zero == 0
    assert lowest == (True,) * 4
    assert (logs[2].argsort() == distances.argsort()).all()
    assert logs[0] == pytest.approx(np.log(np.abs(x).sum(axis=1)), rel=1e-12)


@pytest.mark.parametrize("sizes", [(9, 4, 3), (16, 0, 2), (8, 5, 0), (1, 1, 1)])
def test_dead_filters_by_brute_force(sizes):
    live, dead, zero = sizes
    rng = RNG(5)
    base = np.concatenate([np.zeros(zero), 1 + np.arange(dead), 100 + np.arange(live)])
    a, b = base.copy(), base.copy()
    for start, size in ((zero, dead), (zero + dead, live)):
        b[start : start + size] = rng.permutation(b[start : start + size])
    apart = sum((stats.rankdata(a) - stats.rankdata(b)) ** 2)
    groups = live**3 - live + dead**3 - dead
    within = 1 - 6 * apart / groups if groups else 0.0
    expected = stats.spearmanr(a, b).statistic
    assert spearman_with_dead(within, live + dead + zero, live, zero) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "live", "zero"), [(32, 32, 0), (64, 40, 5), (24, 16, 8)])
def test_closed_form_meets_draws_under_the_model(n, live, zero):
    rho, rng = 0.9, RNG(6)
    given = moments(rho, n, live, zero)
    expected = spearman_with_dead(expected_spearman(rho, live), n, live, zero)
    drawn = drawn_scores(given, 400, rng)[:, 0, 1]
    assert drawn.mean() == pytest.approx(expected, abs=0.01)
    # fresh filters scatter more than filters whose moments are given
    x = rng.standard_normal((400, 2, live))
    x[:, 1] = rho * x[:, 0] + math.sqrt(1 - rho**2) * x[:, 1]
    free = [spearman_with_dead(stats.spearmanr(*one).statistic, n, live, zero) for one in x]
    assert np.std(drawn) < 0.8 * np.std(free)


@pytest.mark.parametrize(
    ("n", "scale", "between"),
    [(32, 0.02, (0.90, 0.97)), (32, 0.10, (0.96, 0.99)), (16, 0.3, (0.98, 1.0))],
)
def test_intervals_cover_normal_layers_at_every_coefficient(n, scale, between):
    inside, shown = [], []
    for seed in range(60):
        x = filters(seed, n=n, scale=scale)
        row = predict(conv(x), ["l1", "l2"], rungs="cross-fitted", device="cpu").rows[0]
        measured = stats.spearmanr(np.abs(x).sum(axis=1), np.linalg.norm(x, axis=1)).statistic
        inside.append(row.low <= measured <= row.high)
        shown.append(measured)
    assert between[0] < np.median(shown) < between[1]
    # standard error of a share of .95 in 60 layers: .028
    assert np.mean(inside) >= 0.88


def test_both_ways_to_predict_agree():
    source = conv(filters(7))
    one = predict(source, rungs="cross-fitted", device="cpu").table
    other = simulate(source, rungs="cross-fitted", device="cpu").table
    assert other["spearman"].to_numpy() == pytest.approx(one["spearman"].to_numpy(), abs=0.012)
    assert other["low"].to_numpy() == pytest.approx(one["low"].to_numpy(), abs=0.04)
    assert (one["bound"] == other["bound"]).all()


def test_the_interval_is_students():
    error = ModelError(0.3, 0.5, 0.4)
    low, high = error.interval(0.8, 64, 60, 0.1, 0.9)
    sd = math.sqrt(0.3 / 0.6 / 54 + 0.004)
    half = stats.t(FREEDOM).ppf(0.95) * sd
    assert (low, high) == pytest.approx(np.tanh(math.atanh(0.8) + np.array([-half, half])))
    assert error.interval(0.99, 8, 8, 1.0, 0.99)[1] == 1.0


def few_live():
    x = filters(8, n=16)
    x[:9] *= 0.02  # 7 of 16 are alive; none is 0
    return x


def equal_norms():
    x = filters(9, n=16)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def orthogonal():
    return np.linalg.qr(filters(11, n=16).T)[0].T


def dead_and_far(mean=1.5):
    """6 of 64 filters are 0, the others lie around a mean filter."""
    x = filters(12, n=64) + mean
    x[:6] = 0
    return x


def test_dead_filters_are_predicted_where_they_are_the_lowest():
    """By the mean filter of 64 with 6 of zeros, and the norms in any case."""
    errors = {}
    for mean in (0.0, 0.1, 1.5):
        x = dead_and_far(mean)
        (row,) = predict(conv(x), ["l2", "gm"], rungs="cross-fitted", device="cpu").rows
        distances = np.linalg.norm(x[:, None] - x, axis=2).sum(axis=1)
        measured = stats.spearmanr(np.linalg.norm(x, axis=1), distances).statistic
        errors[mean] = abs(row.spearman - measured)
        (row,) = predict(conv(x), ["l1", "l2"], rungs="cross-fitted", device="cpu").rows
        assert row.low <= row.spearman <= row.high
    assert errors[0.0] < 0.02
    assert errors[0.1] < 0.05
    assert math.isnan(errors[1.5])


@pytest.mark.parametrize(
    ("x", "pair", "reason"),
    [
        (few_live(), ("l1", "l2"), "7 live filters; 8 are needed"),
        (equal_norms(), ("l1", "l2"), "the live filters have equal scores by l1 or l2"),
        (orthogonal(), ("l2", "gm"), "the live filters have equal scores by l2 or gm"),
        (
            dead_and_far(),
            ("l2", "gm"),
            "the dead filters are not the lowest by gm: the mean filter is strong",
        ),
    ],
    ids=["few live", "equal norms", "orthogonal", "dead and far"],
)
@pytest.mark.parametrize("way", [predict, simulate])
def test_layers_without_moments_say_why(way, x, pair, reason):
    (row,) = way(conv(x), pair, rungs="cross-fitted", device="cpu").rows
    assert row.reason == reason
    assert math.isnan(row.spearman + row.low + row.bound)


def test_three_filters_and_all_dead_but_one():
    for x in (filters(10, n=3), np.concatenate([filters(10, n=1), np.zeros((15, 144))])):
        (row,) = predict(conv(x), ["l1", "l2"], rungs="cross-fitted", device="cpu").rows
        assert row.reason


def test_constant_rows_have_no_correlation():
    assert np.isnan(correlation(np.array([[1.0, 1, 1], [1, 2, 4]]))[0]).all()
