"""Scores that storage alone makes differ are ties."""

import numpy as np
import pytest
import torch
from torch import nn

import cwda
from cwda.layers import ConvLayer
from cwda.scoring.dispersion import dispersion
from cwda.scoring.ties import tied


def test_nearly_equal_scores_take_the_value_of_the_smallest():
    rng = np.random.default_rng(0)
    x = rng.permutation(np.concatenate([5 + 1e-9 * np.arange(4), [0.0, 0.0, 7.0, -5.0, -5 - 1e-9]]))
    found = tied(torch.from_numpy(x), 1e-8).numpy()
    expected = x.copy()
    for i, one in enumerate(x):
        expected[i] = min(other for other in x if abs(other - one) <= 1e-8 * abs(one))
    assert found == pytest.approx(expected, rel=0, abs=0)
    apart = torch.from_numpy(np.sort(rng.normal(size=40)))
    assert tied(apart, 1e-12) is apart


def model(gamma):
    with torch.random.fork_rng():
        net = nn.Sequential(nn.Conv2d(3, len(gamma), 3), nn.BatchNorm2d(len(gamma)), nn.ReLU())
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor(gamma))
    return net


def test_gammas_that_differ_in_the_last_place_of_float32_have_no_order():
    ones = np.full(16, 0.7, dtype=np.float32)
    up = np.nextafter(ones, np.float32(1))
    gamma = np.where(np.arange(16) % 2, ones, up)
    assert len(set(gamma.tolist())) == 2
    row = cwda.applicability(model(gamma), ["bn_gamma"]).table.iloc[0]
    assert row["cv"] == 0
    assert "all 16 scores of bn_gamma are equal" in row["reason"]
    different = np.linspace(0.5, 1.0, 16, dtype=np.float32)
    scores = cwda.scores(model(different), ["bn_gamma"]).table["score"]
    assert scores.tolist() == different.astype(float).tolist()


def test_filters_of_norm_one_stored_in_float32_have_equal_norms():
    x = np.random.default_rng(1).normal(size=(64, 16, 3, 3))
    x /= np.linalg.norm(x.reshape(64, -1), axis=1)[:, None, None, None]
    stored = ConvLayer("a", torch.from_numpy(x).float())
    table = dispersion(stored, ["l2", "l1"]).table.set_index("criterion")
    assert table.loc["l2", "reason"] == "all 64 scores of l2 are equal"
    assert table.loc["l1", "cv"] > 0.01
    # in double precision a difference of 1e-8 is one
    exact = ConvLayer("a", stored.weight.double())
    assert dispersion(exact, ["l2"]).table["cv"][0] > 0
