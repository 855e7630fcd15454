"""Simulated predictions: the scores, the law of the draws, agreement with the closed form."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from cwda.errors import CwdaError
from cwda.layers import Network, Provenance
from cwda.theory.closed_form import predict
from cwda.theory.draws import Normals, sample_filters
from cwda.theory.log_scores.score_moments import importance_scores
from cwda.theory.model import fit_layer
from cwda.theory.rungs import BLOCK, LADDER, SCALE
from cwda.theory.simulation import simulate, spearman_of_draws
from tests.theory.test_closed_form import draw, layer, scores


def test_scores_are_their_definitions():
    x = np.random.default_rng(0).standard_normal((3, 12, 18)) * np.linspace(0.5, 2, 12)[:, None]
    x += 0.3
    found = importance_scores(torch.from_numpy(x)).numpy()
    for one, own in zip(x, found, strict=True):
        assert own == pytest.approx(np.stack(scores(one)), rel=1e-7)


def test_fermat_point_is_the_minimum():
    x = np.random.default_rng(1).standard_normal((9, 4))
    best = optimize.minimize(
        lambda p: np.linalg.norm(x - p, axis=1).sum(), x.mean(axis=0), tol=1e-14
    )
    found = importance_scores(torch.from_numpy(x)[None])[0, 3].numpy()
    assert found == pytest.approx(np.linalg.norm(x - best.x, axis=1), abs=1e-6)


def test_filter_at_the_fermat_point():
    x = np.concatenate([np.zeros((1, 4)), np.eye(4), -np.eye(4)])
    found = importance_scores(torch.from_numpy(x)[None])[0, 3].numpy()
    assert found == pytest.approx([0.0] + [1.0] * 8, abs=1e-5)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_draws_have_the_covariance_of_the_rung(rung):
    x = draw(np.random.default_rng(2), n=40, dim=18, correlation=0.5, scale=0.2) + 0.2
    fitted = rung(fit_layer(layer(x), device="cpu"))
    draws = torch.cat(list(sample_filters(fitted, 4_000, seed=0)))
    assert draws.shape == (4_000, 40, 18)
    centred = draws - fitted.mean.reshape(-1)
    flat = (centred / torch.from_numpy(fitted.scales)[:, None]).reshape(-1, 18)
    found = flat.T @ flat / len(flat)
    expected = torch.block_diag(*fitted.sigma.blocks)
    a = fitted.sigma.variances
    # standard error of a covariance of 160,000 draws is 0.0035 at variance 1
    assert float((found - expected).abs().max()) < 5 * float(a.max()) * math.sqrt(2 / len(flat))


def test_rank_correlation_is_scipys():
    fitted = BLOCK(fit_layer(layer(draw(np.random.default_rng(3), n=20)), device="cpu"))
    (found,) = spearman_of_draws([fitted], 3, seed=7)
    own = torch.cat(list(sample_filters(fitted, 3, seed=7))).numpy()
    for matrix, x in zip(found, own, strict=True):
        expected = stats.spearmanr(np.stack(scores(x), axis=1)).statistic
        assert matrix == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_simulation_agrees_with_the_closed_form(rung):
    source = layer(draw(np.random.default_rng(4), n=64, dim=288, scale=0.15, correlation=0.3))
    simulated = simulate(source, rungs=[rung], device="cpu").table
    closed = predict(source, rungs=[rung], device="cpu").table
    assert list(simulated.columns) == list(closed.columns)
    assert simulated["rho"].isna().all()
    assert simulated["spearman"].to_numpy() == pytest.approx(
        closed["spearman"].to_numpy(), abs=0.012
    )


def test_intervals_of_the_two_ways_agree():
    source = layer(draw(np.random.default_rng(5), n=64))
    pair = ["l1", "l2"]
    simulated = simulate(source, pair, rungs="block", draws=1000, device="cpu").table
    closed = predict(source, pair, rungs="block", device="cpu").table
    for limit in ("low", "high"):
        assert simulated[limit][0] == pytest.approx(closed[limit][0], abs=0.015)


def test_a_seed_reproduces_the_result():
    source = layer(draw(np.random.default_rng(8), n=16))
    one, other, third = (
        simulate(source, rungs=["block"], draws=50, seed=seed, device="cpu").table
        for seed in (1, 1, 2)
    )
    assert one.equals(other)
    assert not one.equals(third)


@pytest.mark.parametrize("channels", [16, 15])
def test_draws_do_not_depend_on_memory_and_threads(monkeypatch, channels):
    x = draw(np.random.default_rng(9), n=15, dim=9 * channels)
    fitted = fit_layer(layer(x), device="cpu")
    whole = torch.cat(list(sample_filters(fitted, 40, seed=0)))
    monkeypatch.setattr("cwda.theory.draws.NUMBERS", 7 * x.size)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    parts = list(sample_filters(fitted, 40, seed=0))
    assert [len(part) for part in parts] == [7] * 5 + [5]
    assert torch.equal(torch.cat(parts), whole)


def test_draws_are_independent_and_normal():
    fitted = fit_layer(layer(draw(np.random.default_rng(12), n=8)), device="cpu")
    (weights,) = Normals(fitted, seed=0).chunks(400)
    assert stats.kstest(weights.flatten(), "norm").pvalue > 1e-3
    # neither draws nor the two halves of the numbers behind one draw resemble each other
    correlations = np.corrcoef(weights.reshape(800, -1)) * math.sqrt(weights[0].numel() / 2)
    assert abs(correlations[np.triu_indices(800, 1)]).max() < 6


def test_rungs_and_layers_are_drawn_alike_whatever_else_is_asked_for():
    one, other = (layer(draw(np.random.default_rng(seed), n=12), str(seed)) for seed in (13, 14))
    network = Network("two", (one, other), Provenance("array", "array"))
    together = simulate(network, draws=40, device="cpu").table
    alone = simulate(other, rungs="scale", draws=40, device="cpu").table
    rows = together[(together["layer"] == "14") & (together["rung"] == "scale")]
    assert rows["spearman"].tolist() == alone["spearman"].tolist()
    assert one.name != other.name  # by which their draws differ
    first, second = (next(sample_filters(fit_layer(x), 1, seed=0)) for x in (one, other))
    assert abs(np.corrcoef(first.flatten(), second.flatten())[0, 1]) < 0.1


def test_layers_with_dead_filters_are_scored_as_defined():
    x = np.random.default_rng(15).standard_normal((5, 16, 27))
    x[:, :9] *= 1e-4
    fitted = importance_scores(torch.from_numpy(x)).numpy()
    for one, own in zip(x, fitted, strict=True):
        expected = np.stack(scores(one))
        assert own[:3] == pytest.approx(expected[:3], rel=1e-9)
        assert own[3].sum() <= expected[3].sum() * (1 + 1e-14)


def test_the_bar_advances_within_a_layer(monkeypatch):
    monkeypatch.setattr("cwda.theory.draws.NUMBERS", 10 * 12 * 144)
    fitted = fit_layer(layer(draw(np.random.default_rng(16), n=12)), device="cpu")
    shares = []
    spearman_of_draws([SCALE(fitted), BLOCK(fitted)], 25, 0, shares.append)
    assert shares == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.1, 0.1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 38}, "needs 39 draws"),
        ({"level": 0.0}, "level lies"),
        ({"rungs": ["x"]}, "unknown rung"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(CwdaError, match=message):
        simulate(layer(draw(np.random.default_rng(10))), **options)


@pytest.mark.gpu
def test_cuda_agrees():
    source = layer(draw(np.random.default_rng(11)))
    cpu = simulate(source, rungs=["scale"], device="cpu").table["spearman"]
    cuda = simulate(source, rungs=["scale"], device="cuda").table["spearman"]
    assert cuda.to_numpy() == pytest.approx(cpu.to_numpy(), abs=0.02)
