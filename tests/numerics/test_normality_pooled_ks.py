"""The pooled Kolmogorov distance against plain loops, and the coverage of its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

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
    assert found.standard_error == pytest.approx(error, rel=1e-9)


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
