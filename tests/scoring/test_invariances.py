"""Weights that BatchNorm makes up for: the network stays, some rankings do not."""

import math

import pytest
import torch
from torch import nn

import cwda
from cwda.scoring import invariances
from cwda.scoring.gauges import GAUGES, regauge


@pytest.fixture(autouse=True)
def _own_random_state():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _model(affine=True, eps=1e-5, bias=False, transposed=False):
    torch.manual_seed(0)
    second = nn.ConvTranspose2d if transposed else nn.Conv2d
    model = nn.Sequential(
        nn.Conv2d(3, 12, 3, bias=bias),
        nn.BatchNorm2d(12, eps=eps, affine=affine),
        nn.ReLU(),
        second(12, 10, 3, bias=bias),
        nn.BatchNorm2d(10, eps=eps, affine=affine),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 4),
    ).double()
    for part in model.train():
        if isinstance(part, nn.BatchNorm2d) and affine:
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    model(torch.randn(32, 3, 12, 12, dtype=torch.float64))
    return model.eval()


@pytest.mark.parametrize("gauge", GAUGES)
@pytest.mark.parametrize(
    "options",
    [{}, {"affine": False}, {"eps": 0.5}, {"bias": True}, {"transposed": True, "bias": True}],
    ids=str,
)
def test_outputs_stay(gauge, options):
    model, images = _model(**options), torch.randn(4, 3, 12, 12, dtype=torch.float64)
    before, weight = model(images), model[0].weight.clone()
    changed = regauge(model, gauge, torch.Generator().manual_seed(1))
    if gauge == "filter sign" and options.get("affine") is False:
        assert changed == []
        assert torch.equal(model[0].weight, weight)
        return
    assert changed == ["0", "3"]
    assert not torch.equal(model[0].weight, weight)
    assert torch.allclose(model(images), before, rtol=0, atol=1e-9)
    assert bool((model[1].running_var >= 0).all())


def test_invariances_that_are_known_exactly():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(8, 3, 12, 12, generator=generator), torch.arange(8) % 4
    table = invariances(_model(), data=data, progress=False).table
    wide = table.pivot(index="criterion", columns="transformation", values="invariant")
    assert wide["layer scale"].all()
    of_weights = ["l1", "l2", "gm", "fermat", "gm_cityblock"]
    assert not wide.loc[of_weights, "filter scale"].any()
    of_function = ["taylor_l1", "taylor_l2", "snip", "obd", "bn_gamma", "bn_beta", "apoz"]
    assert wide.loc[[*of_function, "entropy", "mean_activation"]].all(axis=None)
    assert wide.loc[["l1", "l2"], "filter sign"].all()
    assert not wide.loc[["gm", "fermat"], "filter sign"].any()
    assert (table["output_change"] < 1e-12).all()


def test_a_criterion_of_the_user_is_measured_too():
    cosine = cwda.scoring.Criterion(
        "cosine", "|cosine| to the mean", lambda f: (f.values / f.values.norm(dim=1)[:, None])[:, 0]
    )
    table = invariances(_model(), ["l2", cosine], progress=False).table
    by = table.set_index(["criterion", "transformation"])["invariant"]
    assert by["cosine", "filter scale"]
    assert not by["cosine", "filter sign"]


def test_the_model_is_left_as_it_was_and_the_seed_repeats():
    model = _model()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    one, two = (invariances(model, "l2", progress=False) for _ in range(2))
    assert one.table.equals(two.table)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_without_batchnorm_there_is_nothing_to_compare():
    row = invariances(nn.Sequential(nn.Conv2d(3, 8, 3)), "l2", progress=False).rows[0]
    assert row.invariant is None
    assert math.isnan(row.spearman)
    assert row.layers == 0
    assert row.reason == "no convolution has a BatchNorm of its own that can make up for it"


def test_a_convolution_that_something_else_reads_keeps_its_scale():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

        def forward(self, x):
            y = self.conv(x)
            return self.bn(y) + y

    assert regauge(Fork().double().eval(), "filter scale", torch.Generator()) == []


def test_a_source_says_whether_it_holds_batchnorm():
    assert cwda.load(_model()).batchnorm
    assert cwda.load(_model().state_dict()).batchnorm
    assert not cwda.load(nn.Sequential(nn.Conv2d(3, 8, 3))).batchnorm
