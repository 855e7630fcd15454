import math

import numpy as np
import pytest

from cwda.numerics.ranking.live import live_filters


def lognormal(n, sd, seed):
    return np.exp(sd * np.random.default_rng(seed).standard_normal(n))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.4, 0.7, 0.92])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-3, 0.01])
@pytest.mark.parametrize("n", [16, 64, 256])
def test_dead_filters_are_found_whatever_their_share(share, size, n):
    for seed in range(10):
        norms = lognormal(n, 0.2, seed)
        dead = np.random.default_rng(seed).permutation(n) < min(round(share * n), n - 2)
        norms[dead] *= size
        assert (live_filters(norms) == ~dead).all()


def test_scattered_scales_are_not_dead():
    counts = [(~live_filters(lognormal(64, 0.8, seed))).sum() for seed in range(300)]
    # P(log s < log .05) at an SD of .8 is 9e-5, hence 1.7 of 19,200
    assert sum(counts) <= 6
    assert all(live_filters(lognormal(512, 0.5, seed)).all() for seed in range(100))


def test_heavy_tails_of_the_scale_are_not_dead():
    for seed in range(100):
        scale = np.sqrt(5 / np.random.default_rng(seed).chisquare(5, 128))
        assert live_filters(scale).all()


@pytest.mark.parametrize(("n", "giants"), [(8, 1), (16, 1), (64, 3), (256, 12)])
def test_few_giants_do_not_kill_the_others(n, giants):
    norms = lognormal(n, 0.2, 0)
    norms[:giants] *= 1000
    assert live_filters(norms).all()


def test_the_largest_set_that_describes_itself_below_the_reference():
    norms = np.array([1.0] * 4 + [0.04] * 8 + [0.001] * 30)
    assert live_filters(norms).sum() == 4


def test_extremes():
    assert not live_filters(np.zeros(8)).any()
    assert live_filters(np.ones(8)).all()
    assert live_filters([0.0] * 9 + [1.0]).tolist() == [False] * 9 + [True]
    assert live_filters([0.0, 1.0, 1.0]).tolist() == [False, True, True]


def test_unit_and_order_do_not_matter():
    norms = np.concatenate([lognormal(40, 0.5, 1), 1e-3 * lognormal(30, 0.5, 2)])
    order = np.random.default_rng(0).permutation(70)
    expected = live_filters(norms)
    assert (live_filters(norms * math.pi * 1e-9) == expected).all()
    assert (live_filters(norms[order]) == expected[order]).all()
