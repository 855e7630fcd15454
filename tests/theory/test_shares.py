"""Predicted shares and overlaps of one ranking over layers, against simulation and loops."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from cwda.errors import CwdaError
from cwda.theory.score_law import DistanceSumLaw, ScoreLaw
from cwda.theory.shares import between_layers, predict_overlap, predict_shares

LAWS = [
    ScoreLaw(0.0, 0.02, 0.01),
    ScoreLaw(0.3, 0.10, 0.01),
    DistanceSumLaw(-4.2, 0.05, 0.01, 63.0, 0.06),
]
SIZES = [32, 128, 64]


def test_threshold_solves_the_mixture():
    counts = [22, 67, 112, 156]
    found = predict_shares(LAWS, SIZES, counts)
    assert found.share @ SIZES == pytest.approx(counts, rel=1e-9)
    for count, threshold in zip(counts, found.threshold, strict=True):
        root = optimize.brentq(
            lambda t, count=count: (
                sum(n * law.cdf(np.array(t)) for n, law in zip(SIZES, LAWS, strict=True)) - count
            ),
            1e-3,
            1e3,
            xtol=1e-14,
        )
        assert threshold == pytest.approx(root, rel=1e-9)
    assert found.emptied == pytest.approx(found.share ** np.array(SIZES))


@pytest.mark.parametrize("normalise", [None, "mean", "zscore"])
def test_shares_and_intervals_meet_simulated_networks(normalise):
    rng, count, draws = np.random.default_rng(0), 67, 3000
    owner = np.repeat([0, 1, 2], SIZES)
    lost = np.empty((draws, 3))
    for i in range(draws):
        scores = [law.quantile(rng.random(n)) for law, n in zip(LAWS, SIZES, strict=True)]
        if normalise == "mean":
            scores = [s / law.mean for s, law in zip(scores, LAWS, strict=True)]
        elif normalise == "zscore":
            scores = [(s - law.mean) / law.sd for s, law in zip(scores, LAWS, strict=True)]
        gone = owner[np.argsort(np.concatenate(scores))[:count]]
        lost[i] = np.bincount(gone, minlength=3) / SIZES
    found = predict_shares(LAWS, SIZES, [count], normalise=normalise)
    assert found.share[0] == pytest.approx(lost.mean(axis=0), abs=0.004)
    inside = ((lost >= found.low - 1e-9) & (lost <= found.high + 1e-9)).mean(axis=0)
    assert ((inside > 0.92) & (inside < 0.99)).all()


def test_one_layer_loses_what_is_asked_for():
    found = predict_shares([LAWS[0]], [32], [0, 8, 32])
    assert found.share[:, 0] == pytest.approx([0, 0.25, 1], abs=1e-12)
    assert found.low[:, 0] == pytest.approx(found.share[:, 0], abs=1e-9)
    assert found.high[:, 0] == pytest.approx(found.share[:, 0], abs=1e-9)
    assert found.emptied[:, 0] == pytest.approx([0, 0, 1], abs=1e-12)


def test_layers_far_apart_go_whole():
    laws = [ScoreLaw(math.log(m), 0.0, 1e-3) for m in (1.0, 10.0)]
    found = predict_shares(laws, [16, 16], [16])
    assert found.share[0] == pytest.approx([1, 0], abs=1e-6)
    assert found.emptied[0] == pytest.approx([1, 0], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], [1]), "cannot go"),
        ((LAWS, SIZES, [225]), "of 224 filters in 3 layers"),
        ((LAWS, SIZES, [-1]), "cannot go"),
    ],
)
def test_impossible_numbers(arguments, message):
    with pytest.raises(CwdaError, match=message):
        predict_shares(*arguments)


def test_unknown_normalisation():
    with pytest.raises(CwdaError, match="no theory of scores normalised by 'max'"):
        predict_shares(LAWS, SIZES, [3], normalise="max")


def test_overlap_meets_simulated_layers():
    rng, rho, sizes = np.random.default_rng(1), np.array([0.9, 0.5]), [6000, 14000]
    a, b = np.array([[0.3, 0.6]]), np.array([[0.5, 0.2]])
    both = either = 0
    for r, n, p, q in zip(rho, sizes, a[0], b[0], strict=True):
        x = rng.standard_normal((2, 50 * n))
        y = r * x[0] + math.sqrt(1 - r**2) * x[1]
        first, second = x[0] < stats.norm.ppf(p), y < stats.norm.ppf(q)
        both, either = both + (first & second).sum(), either + (first | second).sum()
    assert predict_overlap(a, b, rho, sizes)[0] == pytest.approx(both / either, abs=0.003)


def test_overlap_at_its_limits():
    share = np.array([[0.3, 1.0], [0.0, 0.0]])
    same = predict_overlap(share, share, [1.0, 1.0], [16, 16])
    assert same[0] == pytest.approx(1)
    assert math.isnan(same[1])
    apart = predict_overlap(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), [0.9, 0.9], [16, 16])
    assert apart.tolist() == [0.0]


def test_between_layers_is_a_share_of_the_variance():
    rng, means, sds = np.random.default_rng(2), [1.0, 2.0, 2.5], [0.3, 0.5, 0.1]
    n = [10000, 30000, 20000]
    x = [rng.normal(m, s, size) for m, s, size in zip(means, sds, n, strict=True)]
    within = sum(size * v.var() for size, v in zip(n, x, strict=True)) / sum(n)
    expected = 1 - within / np.concatenate(x).var()
    assert between_layers(means, sds, n) == pytest.approx(expected, abs=0.01)
    assert math.isnan(between_layers([1.0], [0.0], [3]))
