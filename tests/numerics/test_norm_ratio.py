import numpy as np
import pytest
from scipy import special

from cwda.filters.norm_ratio import norm_ratio


def ratio(f):
    gram = f @ f.T
    energy = gram.diagonal().copy()
    np.fill_diagonal(gram, 0)
    return norm_ratio(energy, gram.sum(1), (gram**2).sum(1), f.shape[1], 0.05)


def test_equals_the_formula_by_loops():
    f = np.random.default_rng(1).standard_normal((12, 20)) + 0.4

    def value(f):
        n = len(f)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        mean = np.mean([f[i] @ f[j] for i, j in pairs])
        shared = np.mean([(f[i] @ f[j]) ** 2 for i, j in pairs]) - max(mean, 0) ** 2
        energy = np.mean([(f[i] @ f[i]) * (f[j] @ f[j]) for i, j in pairs])
        shared = max(shared, (np.sqrt(energy) - max(mean, 0)) ** 2 / f.shape[1])
        expected = np.log(1 + 2 * shared / energy) / 4
        return np.var(np.log(np.linalg.norm(f, axis=1)), ddof=1) / expected

    found = ratio(f)
    assert found.value == pytest.approx(value(f), rel=1e-9)
    logs = np.log([value(np.delete(f, i, axis=0)) for i in range(12)])
    freedom = min(11, 2 / (11 * np.var(logs)))
    assert found.low == pytest.approx(
        found.value * freedom / special.chdtri(freedom, 0.05), rel=1e-7
    )


@pytest.mark.parametrize("mean", [0.0, 0.3, 0.7])
def test_is_one_for_independent_filters_whatever_their_mean(mean):
    rng = np.random.default_rng(0)
    values = [ratio(rng.standard_normal((48, 60)) + mean).value for _ in range(200)]
    assert np.mean(values) == pytest.approx(1, abs=0.08)


def test_equal_and_orthogonal_norms_vary_less():
    f = np.random.default_rng(0).standard_normal((32, 64))
    assert ratio(f / np.linalg.norm(f, axis=1, keepdims=True)).high < 1e-6
    assert ratio(np.linalg.qr(f.T)[0].T).high < 1e-6


def test_unit_sign_and_order_do_not_matter():
    rng = np.random.default_rng(0)
    f = rng.standard_normal((20, 30))
    other = 7e-3 * f[rng.permutation(20)] * rng.choice([-1, 1], 30)
    for name in ("value", "low", "high"):
        assert getattr(ratio(other), name) == pytest.approx(getattr(ratio(f), name), rel=1e-9)
