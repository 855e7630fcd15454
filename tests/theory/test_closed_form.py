"""Closed-form predictions against simulation with plain loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from cwda.errors import CwdaError
from cwda.layers import ConvLayer, Network, Provenance
from cwda.numerics.ranking.rank_intervals import bonett_wright_interval
from cwda.theory.closed_form import log_score_correlation, predict
from cwda.theory.criteria import CRITERIA
from cwda.theory.model import fit_layer
from cwda.theory.rungs import ISOTROPIC, LADDER

PAIRS = list(itertools.combinations(CRITERIA, 2))


def scores(x):
    """The four criteria of filters n x d, straight from their definitions."""
    point = x.mean(axis=0)
    for _ in range(60):
        weight = 1 / np.linalg.norm(x - point, axis=1)
        point = weight @ x / weight.sum()
    return (
        np.abs(x).sum(axis=1),
        np.linalg.norm(x, axis=1),
        squareform(pdist(x)).sum(axis=1),
        np.linalg.norm(x - point, axis=1),
    )


def spearman(x):
    found = stats.spearmanr(np.stack(scores(x), axis=1)).statistic
    return np.array([found[CRITERIA.index(a), CRITERIA.index(b)] for a, b in PAIRS])


def layer(x, name="conv"):
    return ConvLayer(name, torch.from_numpy(x).reshape(len(x), -1, 3, 3))


def draw(rng, n=48, dim=144, scale=0.0, correlation=0.0):
    x = math.sqrt(1 - correlation) * rng.standard_normal((n, dim // 9, 9))
    x += math.sqrt(correlation) * rng.standard_normal((n, dim // 9, 1))
    return x.reshape(n, dim) * np.exp(scale * rng.standard_normal((n, 1)))


@pytest.mark.parametrize(
    ("rung", "options"),
    [
        ("isotropic", {}),
        ("block", {"correlation": 0.5}),
        ("scale", {"scale": 0.15}),
        ("scale", {"scale": 0.1, "correlation": 0.4}),
        ("cross-fitted", {"scale": 0.1}),
    ],
)
def test_prediction_meets_simulation(rung, options):
    rng = np.random.default_rng(0)
    measured = np.mean([spearman(draw(rng, **options)) for _ in range(150)], axis=0)
    # the fit has its own scatter; its mean over layers is the prediction
    fits = [predict(layer(draw(rng, **options)), rungs=[rung]).table for _ in range(30)]
    predicted = np.mean([table["spearman"] for table in fits], axis=0)
    assert predicted == pytest.approx(measured, abs=0.012)


def test_isotropic_limit_of_l1_and_l2():
    x = draw(np.random.default_rng(1), n=64)
    rho = log_score_correlation(ISOTROPIC(fit_layer(layer(x))))
    assert rho[0, 1] == pytest.approx(math.sqrt(1 / (math.pi - 2)), rel=1e-12)
    assert rho[1, 2] == rho[1, 3] == pytest.approx(1 / math.sqrt(1 + 2 / 64), rel=1e-12)
    assert rho[2, 3] == pytest.approx(1)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
def test_correlations_are_a_correlation_matrix(rung):
    x = draw(np.random.default_rng(2), scale=0.3, correlation=0.3) + 0.3
    rho = log_score_correlation(rung(fit_layer(layer(x))))
    assert (rho == rho.T).all()
    assert rho.diagonal() == pytest.approx(1, abs=1e-12)
    # entries of the cross-fitted one are estimated one by one
    assert np.linalg.eigvalsh(rho).min() > (-1e-3 if rung.name == "cross-fitted" else -1e-9)


def test_filter_scale_raises_similarity():
    x = draw(np.random.default_rng(3), scale=0.4)
    found = predict(layer(x), rungs=["block", "scale"]).table
    wide = found.pivot(index=["criterion_a", "criterion_b"], columns="rung", values="spearman")
    wide = wide.drop(index=("gm", "fermat"))
    assert (wide["scale"] > wide["block"]).all()


@pytest.mark.parametrize(("rho", "n"), [(0.94, 16), (0.94, 64), (0.99, 32), (0.8, 32)])
def test_interval_covers(rho, n):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4_000, n))
    y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal((4_000, n))
    ranks = x.argsort(axis=1).argsort(axis=1) - y.argsort(axis=1).argsort(axis=1)
    measured = 1 - 6 * (ranks**2).sum(axis=1) / (n * (n * n - 1))
    low, high = bonett_wright_interval(float(measured.mean()), n, 0.95)
    assert ((low <= measured) & (measured <= high)).mean() == pytest.approx(0.95, abs=0.025)


def test_table_has_every_layer_pair_and_rung():
    good = layer(draw(np.random.default_rng(5)), "good")
    dead = ConvLayer("dead", torch.zeros(16, 4, 3, 3))
    network = Network("net", (good, dead), Provenance("simulated", "array"))
    found = predict(network)
    assert len(found.table) == len(found) == 2 * 6 * len(LADDER)
    bad = found.table[found.table["layer"] == "dead"]
    assert set(bad["reason"]) == {"all weights are 0"}
    assert bad["spearman"].isna().all()
    assert (found.table["network"] == "net").all()
    assert "1 layer without a prediction" in repr(found)
    kept = found.table[found.table["layer"] == "good"]
    assert ((kept["low"] <= kept["spearman"]) & (kept["spearman"] <= kept["high"])).all()


def test_summary_is_the_median_in_the_order_of_the_ladder():
    rng = np.random.default_rng(6)
    layers = tuple(layer(draw(rng), f"conv{i}") for i in range(3))
    found = predict(Network("net", layers, Provenance("simulated", "array")))
    summary = found.summary()
    assert list(summary) == ["criterion_a", "criterion_b", *(rung.name for rung in LADDER)]
    rows = found.table.query("criterion_a == 'l1' and criterion_b == 'l2' and rung == 'scale'")
    pairs = summary.set_index(["criterion_a", "criterion_b"])
    assert pairs.loc[("l1", "l2"), "scale"] == rows["spearman"].median()
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criteria": ["l1", "l3"]}, "unknown criterion 'l3'"),
        ({"criteria": ["l1"]}, "2 criteria or more"),
        ({"rungs": ["round"]}, "unknown rung 'round'"),
        ({"level": 1.0}, "level lies"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(CwdaError, match=message):
        predict(layer(draw(np.random.default_rng(7))), **options)


def test_bad_source():
    with pytest.raises(CwdaError, match="cannot load an object of type int"):
        predict(18)
