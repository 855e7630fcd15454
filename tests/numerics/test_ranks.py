"""Ranks and rank correlations against scipy and plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cwda.numerics.ranking.overlap import lowest_count, lowest_overlap, rank_biased_overlap
from cwda.numerics.ranking.rank_intervals import (
    bonett_wright_interval,
    spearman_interval,
)
from cwda.numerics.ranking.ranks import (
    ascending,
    kendall,
    midranks,
    spearman,
    spearman_leave_one_out,
)


def _scores(rows, n, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, n)) + rng.normal(size=n)
    return torch.from_numpy(values.round(1 if ties else 15))


def _pairwise(scores, coefficient):
    return [[coefficient(a, b) for b in scores.numpy()] for a in scores.numpy()]


tied_rows = st.lists(
    st.lists(st.integers(-3, 3), min_size=7, max_size=7), min_size=1, max_size=4
).map(lambda rows: torch.tensor(rows, dtype=torch.float64))


@given(tied_rows)
def test_midranks_equal_scipy(rows):
    np.testing.assert_array_equal(midranks(rows), stats.rankdata(rows, axis=1))


def test_midranks_of_a_batch_and_of_single_items():
    batch = torch.stack([_scores(3, 10, seed, ties=True) for seed in range(4)])
    np.testing.assert_array_equal(midranks(batch), stats.rankdata(batch, axis=-1))
    assert midranks(torch.tensor([[5.0]])).tolist() == [[1.0]]
    assert midranks(torch.zeros(2, 0)).shape == (2, 0)


def test_a_row_with_nan_has_no_ranks_and_leaves_the_others_alone():
    ranks = midranks(torch.tensor([[1.0, math.nan, 0.0], [3.0, 2.0, 1.0]]))
    assert ranks[0].isnan().all()
    assert ranks[1].tolist() == [3, 2, 1]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 16, 257])
def test_correlations_equal_scipy(n, ties):
    scores = _scores(4, n, seed=n, ties=ties)
    rho = _pairwise(scores, lambda a, b: stats.spearmanr(a, b).statistic)
    np.testing.assert_allclose(spearman(scores), rho, atol=1e-12)
    tau = _pairwise(scores, lambda a, b: stats.kendalltau(a, b).statistic)
    np.testing.assert_allclose(kendall(scores), tau, atol=1e-12)


def test_spearman_of_replicates_equals_one_at_a_time():
    batch = torch.stack([_scores(3, 20, seed) for seed in range(5)])
    expected = torch.stack([spearman(scores) for scores in batch])
    torch.testing.assert_close(spearman(batch), expected, atol=1e-14, rtol=0)


def test_kendall_in_blocks_equals_kendall_at_once(monkeypatch):
    scores = _scores(3, 50, ties=True)
    whole = kendall(scores)
    monkeypatch.setattr("cwda.numerics.ranking.ranks._CHUNK", 120)
    assert torch.equal(kendall(scores), whole)


@pytest.mark.parametrize("coefficient", [spearman, kendall])
def test_equal_scores_and_single_items_correlate_with_nothing(coefficient):
    found = coefficient(torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]]))
    assert found.isnan().tolist() == [[True, True], [True, False]]
    assert coefficient(torch.tensor([[1.0], [2.0]])).isnan().all()


@settings(max_examples=50)
@given(tied_rows)
def test_correlations_depend_on_the_order_alone(rows):
    stretched = torch.exp(rows) * 3 - 7
    for coefficient in (spearman, kendall):
        torch.testing.assert_close(coefficient(rows), coefficient(stretched), equal_nan=True)


@pytest.mark.parametrize("ties", [False, True])
def test_leave_one_out_equals_leaving_one_out(ties):
    scores = _scores(3, 15, seed=3, ties=ties)
    found = spearman_leave_one_out(scores)
    for i in range(15):
        kept = np.delete(scores.numpy(), i, axis=1)
        expected = _pairwise(torch.from_numpy(kept), lambda a, b: stats.spearmanr(a, b).statistic)
        np.testing.assert_allclose(found[:, :, i], expected, atol=1e-12)


def test_ascending_takes_ties_in_the_order_of_their_indices():
    scores = torch.tensor([2.0, 1.0, 2.0, 1.0] * 20)
    expected = [*range(1, 80, 2), *range(0, 80, 2)]
    assert ascending(scores).tolist() == expected


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7])
def test_overlap_equals_sets(ratio):
    scores = _scores(3, 40, seed=1, ties=True)
    count = int(round(ratio * 40, 6))

    def jaccard(a, b):
        one, two = (set(np.argsort(x, kind="stable")[:count]) for x in (a, b))
        return len(one & two) / len(one | two)

    np.testing.assert_allclose(
        lowest_overlap(scores, ratio), _pairwise(scores, jaccard), atol=1e-15
    )


def test_a_ratio_of_no_filter_has_no_overlap():
    assert lowest_count(9, 0.1) == 0
    assert lowest_overlap(_scores(2, 9), 0.1).isnan().all()


@pytest.mark.parametrize(("n", "ratio", "count"), [(10, 0.3, 3), (10, 0.7, 7), (64, 0.1, 6)])
def test_rounding_of_the_ratio_costs_no_filter(n, ratio, count):
    assert lowest_count(n, ratio) == count


@pytest.mark.parametrize("p", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_rank_biased_overlap_equals_its_definition(n, p):
    scores = _scores(3, n, seed=2)

    def rbo_ext(a, b):  # Webber et al. (2010), equation 30, for lists of equal depth k
        one, two = np.argsort(a), np.argsort(b)
        agreement = [len({*one[:d]} & {*two[:d]}) / d for d in range(1, n + 1)]
        series = sum(share * p**d for d, share in enumerate(agreement, 1))
        return agreement[-1] * p**n + (1 - p) / p * series

    expected = _pairwise(scores, rbo_ext)
    np.testing.assert_allclose(rank_biased_overlap(scores, p), expected, atol=1e-12)


def test_rank_biased_overlap_looks_at_the_low_end():
    base = torch.arange(50.0)
    low, high = base.clone(), base.clone()
    low[[0, 1]] = base[[1, 0]]
    high[[48, 49]] = base[[49, 48]]
    found = rank_biased_overlap(torch.stack([base, low, high]))[0]
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.91 < 0.999 < found[2] < 1


def test_interval_equals_its_formula():
    scores = _scores(2, 20, seed=7)
    rho = stats.spearmanr(*scores.numpy()).statistic
    left_out = [stats.spearmanr(*np.delete(scores.numpy(), i, axis=1)).statistic for i in range(20)]
    z = np.arctanh(left_out)
    half = stats.t.ppf(0.95, 19) * np.sqrt(19 / 20 * ((z - z.mean()) ** 2).sum())
    low, high = spearman_interval(scores, level=0.9)
    assert low[0, 1].item() == pytest.approx(np.tanh(np.arctanh(rho) - half), abs=1e-10)
    tau = stats.kendalltau(*scores.numpy()).statistic
    unbiased = (21 * rho - 3 * tau) / 18  # E rho = ((n-2) rho_s + 3 tau) / (n+1), Kendall
    assert unbiased > rho
    assert high[0, 1].item() == pytest.approx(np.tanh(np.arctanh(unbiased) + half), abs=1e-10)
    half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / 17)
    low = bonett_wright_interval(rho, 20, 0.95)[0]
    assert low == pytest.approx(np.tanh(np.arctanh(rho) - half), abs=1e-10)


def test_interval_of_perfect_agreement_is_not_a_point():
    low, high = spearman_interval(torch.arange(32.0).expand(2, 32))
    assert high[0, 1] == 1
    assert 0.99 < low[0, 1] < 0.9999


def test_interval_is_undefined_where_rho_is_or_too_few_items_are():
    low, high = spearman_interval(_scores(2, 3))
    assert low.isnan().all()
    assert high.isnan().all()
    low, _ = spearman_interval(torch.stack([torch.zeros(9), torch.arange(9.0)]))
    assert low[0, 1].isnan()


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.9, 0.98, 0.9989])
@pytest.mark.parametrize("n", [16, 64])
def test_jackknife_interval_covers(rho, n):
    rng = np.random.default_rng(n)
    pearson = 2 * math.sin(math.pi * rho / 6)
    draws = 1500
    z = rng.normal(size=(draws, 2, n))
    z[:, 1] = pearson * z[:, 0] + math.sqrt(1 - pearson**2) * z[:, 1]
    covered = 0
    for scores in torch.from_numpy(z).reshape(-1, 2 * 10, n):  # ten draws at a time
        low, high = spearman_interval(scores)
        covered += int(((low <= rho) & (rho <= high))[::2, 1::2].diagonal().sum())
    assert 0.94 < covered / draws < 0.995
