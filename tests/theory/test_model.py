"""The fitted model recovers the law that the filters were drawn from."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.numerics.pairs.sums import kernel_sums
from cwda.theory.model import fit_layer, mean_signal
from cwda.theory.rungs import without_correlations


def drawn(n, channels=8, *, seed, scale=0.0, mean=0.0, correlation=0.0, spread=0.0):
    """Equicorrelated blocks, SD of the positions' variances `spread`, log-normal scales."""
    rng = np.random.default_rng(seed)
    x = math.sqrt(1 - correlation) * rng.standard_normal((n, channels, 9))
    x += math.sqrt(correlation) * rng.standard_normal((n, channels, 1))
    x *= np.sqrt(1 + spread * np.where(np.arange(9) % 2, 1, -1))
    x = (x + mean) * np.exp(scale * rng.standard_normal((n, 1, 1)))
    return ConvLayer("conv", torch.from_numpy(x).reshape(n, channels, 3, 3))


def fits(draws=60, n=24, **options):
    return [fit_layer(drawn(n, seed=seed, **options), device="cpu") for seed in range(draws)]


@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_correlations_are_debiased(scale):
    # sum over p != q of r^2 = 8 * 72 * 0.3^2; the raw sample's is 8 * 72 / 24 larger at least
    found = [
        float(f.moments.trace_square - without_correlations(f).moments.trace_square)
        for f in fits(scale=scale, correlation=0.3)
    ]
    # in units of the RMS weight all variances are about 1
    assert np.mean(found) == pytest.approx(8 * 72 * 0.09, rel=0.15)


def test_variances_are_debiased():
    found = [float(f.sigma.variances.var(correction=0)) for f in fits(spread=0.4)]
    # a_p = 0.6 or 1.4 (5 and 4 of 9), in units of their mean
    a = 1 + 0.4 * np.where(np.arange(9) % 2, 1, -1)
    assert np.mean(found) == pytest.approx(np.var(a / a.mean()), rel=0.1)


def test_isotropic_filters_keep_their_effective_dimension():
    found = [f.moments.effective_dim for f in fits()]
    assert np.mean(found) == pytest.approx(72, rel=0.05)


def test_covariances_have_no_negative_eigenvalue():
    for fitted in fits(draws=5, n=9, correlation=0.5, spread=0.8):
        assert float(torch.linalg.eigvalsh(fitted.sigma.blocks).min()) > -1e-12


@pytest.mark.parametrize("scale", [0.0, 0.2, 0.4])
def test_scale_variance(scale):
    found = [f.log_scale_variance for f in fits(n=200, draws=20, scale=scale)]
    assert np.mean(found) == pytest.approx(scale**2, abs=0.003 + 0.1 * scale**2)


def test_scales_have_the_fitted_spread():
    fitted = fit_layer(drawn(100, seed=0, scale=0.3), device="cpu")
    spread = stats.iqr(np.log(fitted.scales), scale="normal") ** 2
    assert spread == pytest.approx(fitted.log_scale_variance, rel=1e-9)
    assert np.mean(fitted.scales**2) == pytest.approx(1, rel=1e-12)


def test_mean_signal_is_the_loop_over_distinct_indices():
    x = np.random.default_rng(0).standard_normal((6, 4)) + 0.5
    gram = x @ x.T
    paths = [gram[i, k] * gram[k, m] for i, k, m in itertools.permutations(range(6), 3)]
    apart = [gram[i, j] * gram[k, m] for i, j, k, m in itertools.permutations(range(6), 4)]
    off = torch.from_numpy(gram - np.diag(np.diag(gram)))
    assert mean_signal(kernel_sums({"mean": off})["mean"]) == pytest.approx(
        np.mean(paths) - np.mean(apart), rel=1e-11
    )


def test_mean_signal_is_unbiased():
    rng = np.random.default_rng(1)
    mu, a = np.array([0.5, -0.2, 0.3]), np.array([1.0, 2.0, 0.5])
    found = []
    for _ in range(4_000):
        x = mu + np.sqrt(a) * rng.standard_normal((10, 3))
        off = torch.from_numpy(x @ x.T).fill_diagonal_(0)
        found.append(mean_signal(kernel_sums({"mean": off})["mean"]))
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - mu**2 @ a) < 4 * error


def test_model_mean_carries_the_signal():
    fitted = fit_layer(drawn(64, seed=2, mean=0.5), device="cpu")
    signal = float((fitted.mean[:, None] @ fitted.sigma.blocks @ fitted.mean[:, :, None]).sum())
    assert 0 < fitted.mean_signal == pytest.approx(signal, rel=1e-10)


def test_fit_ignores_the_unit_of_the_weights():
    layer = drawn(32, seed=3, scale=0.2, correlation=0.2)
    tiny = ConvLayer("conv", layer.weight * 1e-25)
    one, other = fit_layer(layer, device="cpu"), fit_layer(tiny, device="cpu")
    assert torch.allclose(one.sigma.blocks, other.sigma.blocks, rtol=1e-9)
    assert one.log_scale_variance == pytest.approx(other.log_scale_variance, rel=1e-9)


@pytest.mark.parametrize("channels_and_kernel", [(1, 3, 3), (8, 1, 1), (1, 1, 1)])
def test_single_channels_and_positions(channels_and_kernel):
    x = np.random.default_rng(6).standard_normal((16, *channels_and_kernel))
    fitted = fit_layer(ConvLayer("conv", torch.from_numpy(x)), device="cpu")
    assert math.isfinite(fitted.moments.l1_relative + fitted.moments.covariance_relative)


def test_what_cannot_be_fitted_says_why():
    with pytest.raises(CwdaError, match="all weights are 0"):
        fit_layer(ConvLayer("conv", torch.zeros(16, 3, 3, 3)))


def test_a_zero_filter_does_not_spoil_the_fit():
    layer = drawn(201, seed=7, scale=0.3)
    layer.weight[3] = 0
    fitted = fit_layer(layer, device="cpu")
    alive = fit_layer(ConvLayer("conv", layer.weight[torch.arange(201) != 3]), device="cpu")
    assert fitted.log_scale_variance == pytest.approx(alive.log_scale_variance, rel=0.1)


def test_mostly_zero_filters_say_why():
    layer = drawn(16, seed=8)
    layer.weight[:8] = 0
    with pytest.raises(CwdaError, match="half of its filters or more are zero"):
        fit_layer(layer, device="cpu")
