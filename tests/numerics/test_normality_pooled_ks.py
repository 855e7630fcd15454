"""The pooled Kolmogorov distance against plain loops, and the coverage of its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from cwda.errors import CwdaError
from cwda.numerics.normality import pooled_ks as module
from cwda.numerics.normality import pooled_weights
from cwda.numerics.normality.pooled_ks import pooled_ks


def weights(n, d, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_t(5, (n, d)) * 1e-3 + 2e-4)


@pytest.mark.parametrize("shape", [(5, 9), (16, 27), (64, 144)])
def test_distance_equals_scipy(shape):
    x = weights(*shape)
    z = ((x - x.mean()) / x.std()).numpy().ravel()
    expected = stats.kstest(z, "norm")
    found = pooled_ks(x)
    assert found.distance == pytest.approx(expected.statistic, abs=1e-12)
    assert found.location == pytest.approx(expected.statistic_location, abs=1e-9)
    assert found.low <= found.distance <= found.high


def test_leave_one_out_equals_the_loop():
    x = weights(12, 30)
    found = pooled_ks(x)
    expected = []
    for i in range(12):
        rest = np.delete(x.numpy(), i, axis=0).ravel()
        share = np.mean((rest - rest.mean()) / rest.std(ddof=1) <= found.location)
        expected.append(abs(share - stats.norm.cdf(found.location)))
    # The threshold moves off the value itself, so no count hangs on rounding.
    np.testing.assert_allclose(found.leave_one_out, expected, atol=1e-12)
    error = math.sqrt(11 / 12 * np.sum((np.array(expected) - np.mean(expected)) ** 2))
    # The floor, of independent normal weights, is less than twice as large here.
    assert error * (1 - 1e-9) <= found.standard_error < 2 * error


def with_dead_filters(n, dead, d, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d)).astype("float32")
    x[:dead] = 0
    return torch.from_numpy(x)


@pytest.mark.parametrize("dead", [1, 5, 20])
def test_dead_filters_err_as_a_share_does(dead):
    # F jumps there by the share of dead filters, and half of the jump lies on each side of Phi. A
    # threshold that moves with the mean crosses it: standard errors of .1 to 1.2.
    n = 64
    found = pooled_ks(with_dead_filters(n, dead, 144))
    share = dead / n
    assert found.standard_error == pytest.approx(
        math.sqrt(share * (1 - share) / (n - 1)) / 2, abs=0.003
    )
    upper = stats.beta.ppf(0.95, dead + 1, n - dead) / 2  # of Clopper and Pearson
    assert upper <= found.high < upper + 0.02
    # A common mean does not make dead filters alive.
    live = torch.arange(n)[:, None] >= dead
    shifted = pooled_ks(with_dead_filters(n, dead, 144) + 0.05 * live)
    assert shifted.high < upper + 0.04


def test_leave_one_out_at_equal_weights_equals_the_loop():
    x = with_dead_filters(12, 4, 30).double()
    found = pooled_ks(x)
    flat = x.numpy().ravel()
    place = flat.mean() + found.location * flat.std(ddof=1)
    assert place == pytest.approx(0, abs=1e-12)  # the jump; F above or below it is the farther
    shares = {}
    for side in (np.less, np.less_equal):
        shares[side] = side(flat, 1e-9 if side is np.less_equal else -1e-9).mean()
    side = max(shares, key=lambda one: abs(shares[one] - stats.norm.cdf(found.location)))
    expected = []
    for i in range(12):
        rest = np.delete(x.numpy(), i, axis=0).ravel()
        z = -rest.mean() / rest.std(ddof=1)
        expected.append(abs(side(rest, 0).mean() - stats.norm.cdf(z)))
    np.testing.assert_allclose(found.leave_one_out, expected, atol=1e-12)


@pytest.mark.parametrize("step", [2**-7, 0.03, 0.5])
def test_few_bits_do_not_widen_the_error(step):
    # Of the same normal weights; the jackknife at moving thresholds gave up to 600 times as much.
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((64, 144)))
    exact, rounded = pooled_ks(x), pooled_ks((x / step).round() * step)
    assert rounded.standard_error < 1.5 * exact.standard_error
    assert rounded.high - rounded.distance < 2 * (exact.high - exact.distance)


def test_quantile_of_the_tube_equals_an_integral():
    # For a path along a great circle of length L the largest of (Z1, Z2) . e(s) / scale has the
    # exceedance L/pi P(R > c) + P(|T| > c); here checked against numerical integration over the
    # scale, chi_df / sqrt(df), of the Gaussian formula L/pi exp(-c^2/2) + P(|Z| > c).
    length, df, alpha = 4.0, 9, 0.05
    c = module._simultaneous_quantile(length, df, alpha)

    def given_scale(s):
        gauss = length / math.pi * math.exp(-((c * s) ** 2) / 2) + 2 * stats.norm.sf(c * s)
        return gauss * stats.chi.pdf(s * math.sqrt(df), df) * math.sqrt(df)

    assert integrate.quad(given_scale, 0, 10)[0] == pytest.approx(alpha, rel=1e-7)


def test_variance_of_independent_weights_equals_simulation():
    # 4,000 samples of 200 numbers in standard form: the variance has a relative error of .022,
    # and the limit holds to about 1/200.
    points = torch.tensor([-1.5, 0.0, 0.6, 2.0], dtype=torch.float64)
    z = np.random.default_rng(3).standard_normal((4000, 200))
    z = (z - z.mean(1, keepdims=True)) / z.std(1, ddof=1, keepdims=True)
    shares = (z[:, :, None] <= points.numpy()).mean(1)
    variance = module._variance_if_independent(points, torch.special.ndtr(points))
    np.testing.assert_allclose(200 * shares.var(0), variance, rtol=0.1)


@pytest.mark.parametrize(("n", "d"), [(8, 1), (16, 2), (8, 9)])
def test_few_weights_show_no_distance(n, d):
    # At quantiles without weights the jackknife alone has no error: low > 0 in .16 to 1.
    rng = np.random.default_rng([n, d])
    layers = torch.from_numpy(rng.standard_normal((200, n, d)))
    lows = np.array([pooled_ks(x).low for x in layers])
    assert (lows > 0).mean() <= 0.07
    assert (lows <= 0.05).all()


def test_few_correlated_weights_show_no_distance():
    # Filters of 9 weights with a common part of .9: as if each had few weights.
    rng = np.random.default_rng(4)
    layers = np.sqrt(0.9) * rng.standard_normal((200, 16, 1)) + np.sqrt(0.1) * rng.standard_normal(
        (200, 16, 9)
    )
    assert np.mean([pooled_ks(torch.from_numpy(x)).low > 0 for x in layers]) <= 0.07


@pytest.mark.parametrize("n", [8, 32])
@pytest.mark.parametrize(("spread", "truth"), [(0.45, 0.04996), (0.8, 0.1305)])
def test_upper_limit_holds_where_filters_differ_in_scale(n, spread, truth):
    # 60 layers: more than 8 misses at a nominal .05 have a chance of .003. Without the scales'
    # own limit the rates were .12 to .25. Truth: quadrature of cwda.calibration.
    rng = np.random.default_rng([n, 5])
    scales = np.exp(spread * rng.standard_normal((60, n, 1)))
    layers = scales * rng.standard_normal((60, n, 288))
    assert sum(pooled_ks(torch.from_numpy(x)).high < truth for x in layers) <= 8


def test_scales_limit_equals_a_loop():
    rng = np.random.default_rng(8)
    x = np.exp(rng.standard_normal((10, 1))) * rng.standard_normal((10, 400))
    z = (x - x.mean()) / x.std(ddof=1)
    logs = np.log(np.sqrt((z**2).mean(1)))
    spread = logs.var(ddof=1) * 9 / stats.chi2.ppf(0.05, 9) - special.polygamma(1, 200) / 4

    # Midpoints of 20,000 equal shares of the log-normal law.
    scale = np.exp(math.sqrt(spread) * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000) - spread)
    grid = stats.norm.ppf(np.arange(1, 64) / 64)
    expected = max(abs(stats.norm.cdf(u / scale).mean() - stats.norm.cdf(u)) for u in grid)
    points = torch.special.ndtri(torch.arange(1, 64, dtype=torch.float64) / 64)
    phi, squares = torch.special.ndtr(points), torch.from_numpy((z**2).sum(1))
    found = module._scale_limit(squares, 400, points, phi, 0.05)
    assert found == pytest.approx(expected, abs=1e-4)
    # Dead filters have no log scale, and filters of one scale add nothing.
    dead = torch.cat([squares, torch.tensor([0.0, 1e-12])])
    assert module._scale_limit(dead, 400, points, phi, 0.05) == pytest.approx(found, abs=1e-12)
    assert module._scale_limit(torch.ones(10), 400, points, phi, 0.05) == 0


def test_scale_place_order_and_tiles_do_not_matter(monkeypatch):
    x = weights(20, 40)
    found = pooled_ks(x)
    changed = pooled_ks((x[torch.arange(19, -1, -1)] + 1.0) * 1e-30)
    monkeypatch.setattr(pooled_weights, "_TILE_CPU", 97)
    monkeypatch.setattr(pooled_weights, "_TILE_SERIAL", 97)
    tiled = pooled_ks(x)
    for other, tolerance in ((changed, 1e-6), (tiled, 1e-11)):
        for name in ("distance", "location", "standard_error", "low", "high"):
            assert getattr(other, name) == pytest.approx(getattr(found, name), rel=tolerance)


def test_constant_and_infinite_weights_give_nan():
    x = weights(6, 9)
    for value in (torch.zeros(6, 9), torch.where(torch.arange(9) == 3, torch.inf, x)):
        found = pooled_ks(value)
        assert math.isnan(found.distance)
        assert math.isnan(found.high)
        assert found.leave_one_out.isnan().all()


def test_bad_input_gives_one_line():
    for bad in (torch.zeros(4), torch.zeros(2, 9), torch.zeros(4, 9, dtype=torch.int32)):
        with pytest.raises(CwdaError, match="pooled distance"):
            pooled_ks(bad)


@pytest.mark.slow
@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("df", [5, math.inf])
def test_each_limit_misses_at_most_its_share(n, df):
    # Truth: sup |F - Phi| of the standardised law, on a fine grid. 300 draws, nominal .05:
    # more than 26 misses (.087) have a chance of .003.
    u = np.linspace(-6, 6, 100_001)
    scale = math.sqrt(df / (df - 2)) if df < math.inf else 1.0
    truth = np.abs(stats.t.cdf(u * scale, df) - stats.norm.cdf(u)).max()
    rng = np.random.default_rng([n, int(min(df, 99))])
    found = [pooled_ks(torch.from_numpy(rng.standard_t(df, (n, 72)))) for _ in range(300)]
    assert sum(f.low > truth + 1e-9 for f in found) <= 26
    assert sum(f.high < truth - 1e-9 for f in found) <= 26
