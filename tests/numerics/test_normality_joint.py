"""The Henze-Zirkler test against pingouin."""

from __future__ import annotations

import numpy as np
import pingouin
import pytest
import torch

from cwda.errors import CwdaError
from cwda.numerics.normality import henze_zirkler as module
from cwda.numerics.normality.henze_zirkler import henze_zirkler

EPS = np.finfo(np.float64).eps


def points(n, channels, p, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, channels, p)) @ rng.standard_normal((p, p)) + rng.standard_normal(p)
    x[:, ::2] *= 1 + 0.3 * rng.standard_normal((n, 1, 1))
    return x


@pytest.mark.parametrize(("n", "p"), [(16, 9), (40, 2), (64, 9), (64, 25), (120, 49)])
def test_equals_pingouin(n, p, monkeypatch):
    monkeypatch.setattr(module, "_PAIRS_CPU", 2 * n * n)  # chunks of two of three channels
    x = points(n, 3, p)
    statistic, pvalue = henze_zirkler(torch.from_numpy(x))
    log_sd = module._lognormal(((2 * p + 1) * n / 4) ** (2 / (p + 4)) / 2, p)[1]
    for c in range(3):
        expected = pingouin.multivariate_normality(x[:, c])
        assert float(statistic[c]) == pytest.approx(expected.hz, rel=1e-8)
        # The p-value sees log HZ in units of its standard deviation, 1.5e-7 at 49 positions: it
        # takes the difference of the two statistics, and rounding, that many times.
        apart = abs(float(statistic[c]) / expected.hz - 1) + 64 * EPS
        assert float(pvalue[c]) == pytest.approx(expected.pval, abs=max(1e-12, apart / log_sd))


def test_is_affinely_invariant():
    x = torch.from_numpy(points(50, 4, 5))
    turn = torch.from_numpy(np.random.default_rng(7).standard_normal((5, 5)))
    before, after = henze_zirkler(x)[0], henze_zirkler((x @ turn + 3.0) * 1e-20)[0]
    torch.testing.assert_close(after, before, rtol=1e-8, atol=0)


def test_singular_and_infinite_channels_are_nan():
    x = torch.from_numpy(points(30, 5, 4))
    x[:, 1] = 0.0
    x[:, 2, 3] = x[:, 2, 0] + x[:, 2, 1]
    x[4, 3, 0] = torch.inf
    statistic, pvalue = henze_zirkler(x)
    assert statistic.isnan().tolist() == [False, True, True, True, False]
    assert torch.equal(statistic.isnan(), pvalue.isnan())
    assert henze_zirkler(x[:4])[0].isnan().all()


def test_bad_shapes_give_one_line():
    for shape in [(30, 4), (2, 3, 4), (30, 3, 1)]:
        with pytest.raises(CwdaError, match="joint normality"):
            henze_zirkler(torch.zeros(shape))


@pytest.mark.slow
def test_size():
    # 4,000 normal channels: standard error .0034.
    x = torch.randn(64, 4000, 9, generator=torch.Generator().manual_seed(2))
    assert 0.035 < float((henze_zirkler(x)[1] < 0.05).double().mean()) < 0.065
