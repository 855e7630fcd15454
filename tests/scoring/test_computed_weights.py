"""Weights that are computed before each forward pass are scored as they are used."""

import contextlib
import re

import numpy as np
import pytest
import torch
from torch import nn

import cwda
from cwda.coupling import couple
from cwda.coupling.sharing import shared
from cwda.experiment import FineTuning, run_experiment
from cwda.models import ImageData
from cwda.pruning import export, make_plan, remove
from cwda.scoring import collect, scores
from cwda.tracing.copies import effective
from tests.helpers.computed_weights import CLASSES, IMAGE, WAYS, images, network, stored

CRITERIA = ["l2", "taylor_l1", "taylor_image_l2", "apoz", "entropy", "snip", "obd", "oracle"]
HOOKS = [way for way in WAYS if way.startswith("old") or way == "prune"]

#: What has happened to the model before it is scored.
BEFORE = {
    "fresh": lambda model: None,
    "forward": lambda model: model(images()[0]),
    "forward without gradients": torch.no_grad()(lambda model: model(images()[0])),
    "backward": lambda model: model(images()[0]).sum().backward(),
    "forward in inference mode": torch.inference_mode()(lambda model: model(images()[0])),
    "training": lambda model: model.train(),
}


def _table(model):
    return scores(model, CRITERIA, data=images(), batch_size=8, device="cpu").table


def _close(found, wanted, rtol=1e-5):
    assert (found["reason"] == "").all()
    np.testing.assert_allclose(found["score"], wanted["score"], rtol=rtol, atol=1e-8)


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("way", WAYS)
def test_scores_are_those_of_plain_layers_with_these_weights(way, before):
    model = network(way)
    wanted = _table(stored(network(way)))
    BEFORE[before](model)
    _close(_table(model), wanted)


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_computes_the_same_from_plain_parameters(way):
    model, (x, _) = network(way), images()
    with torch.no_grad():
        wanted = model(x)
        twin = effective(model.train())
        assert [twin[5].training, model[5].training] == [False, True]
        np.testing.assert_allclose(twin(x), wanted, rtol=1e-5, atol=1e-6)
    assert {type(part) for part in twin} <= {type(part) for part in network("plain")}
    assert sorted(twin.state_dict()) == sorted(network("plain").state_dict())
    assert all(parameter.requires_grad for parameter in twin.parameters())
    twin.load_state_dict(network("plain", seed=1).state_dict())
    for parameter in model.parameters():  # nothing is shared
        parameter.data.zero_()
    np.testing.assert_array_equal(twin(x).detach(), network("plain", seed=1)(x).detach())


def test_recurrent_layers_use_what_the_copy_has():
    with torch.random.fork_rng(devices=[]), pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.LSTM(3, 4), "weight_hh_l0").eval()
    x = torch.ones(2, 1, 3)
    twin = effective(layer)
    np.testing.assert_allclose(twin(x)[0].detach(), layer(x)[0].detach(), rtol=1e-6)
    twin.weight_hh_l0.data.zero_()
    assert not torch.allclose(twin(x)[0], layer(x)[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_parts_in_torchscript_are_run_as_they_are():
    wanted = _table(network("plain"))
    model = network("plain")
    model[9] = torch.jit.script(model[9])
    twin = effective(model)
    assert all(each.is_leaf and each.requires_grad for each in twin.parameters())
    _close(_table(model), wanted)


def test_a_network_whose_only_convolution_is_applied_twice_has_reasons():
    with torch.random.fork_rng(devices=[]):
        conv = nn.Conv2d(3, 3, 3)
        model = nn.Sequential(conv, nn.ReLU(), conv, nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    found = scores(model.eval(), ["taylor_l1", "obd", "l1"], data=images(), device="cpu").table
    reasons = found.groupby("criterion")["reason"].first()
    twice = "the forward pass applies this convolution 2 times"
    assert reasons.to_dict() == {"taylor_l1": twice, "obd": twice, "l1": ""}


@pytest.mark.parametrize("way", ["weight norm", "old weight norm"])
def test_layers_with_computed_weights_are_not_taken_for_one(way):
    model = nn.Sequential(network(way)[5], network(way, seed=1)[5], network("plain")[5])
    assert shared(model, {"0": "known"}) == {"0": "known"}
    again = nn.Sequential(model[0], model[0])
    assert shared(again, {"0": "known"}) == {"0": "known", "1": "known"}


def test_frozen_weights_and_buffers_stay_such():
    model = network("weight norm").requires_grad_(False)
    twin = effective(model)
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    norm = nn.BatchNorm2d(4)
    nn.utils.parametrize.register_parametrization(norm, "running_mean", nn.Identity())
    assert [name for name, _ in effective(norm).named_buffers()].count("running_mean") == 1


@pytest.mark.parametrize("way", [way for way in WAYS if way != "plain"])
def test_a_plan_that_must_leave_such_weights_names_the_way_out(way):
    module = network(way)[5]
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), module, nn.AdaptiveAvgPool2d(1))
    for _ in range(2):  # weight and bias
        found = couple(model, IMAGE)
        reason = found.unfollowed.get("2") or found.reason("0")
        if not reason:
            break
        call = re.search(r"; (.*) of torch\.nn\.utils stores them$", reason)[1]
        eval(call, {**vars(nn.utils), "module": module})
    assert not couple(model, IMAGE).unfollowed
    assert len(make_plan(model, "l1", 0.5, IMAGE).pruned["0"]) == 4


@pytest.mark.parametrize("way", HOOKS)
def test_networks_with_hooks_are_exported(way, tmp_path):
    model = network(way)
    model(images()[0])
    assert len(cwda.load(export(model, tmp_path / "net.safetensors", IMAGE))) == 3


@pytest.mark.parametrize("way", ["prune", "orthogonal"])
def test_experiments_prune_them(way):
    model, (x, _) = network(way), images()
    model(x)
    pixels, labels = (x * 40 + 120).clamp(0, 255).to(torch.uint8), torch.arange(32) % CLASSES
    found = run_experiment(
        model, ImageData(pixels, labels, pixels, labels), ["taylor_l1"], ratios=0.5,
        strategies="layerwise", scope="all", finetuning=FineTuning(epochs=1), device="cpu",
    )  # fmt: skip
    rows = found.table.set_index("stage")
    assert list(rows["filters_pruned"][["pruned", "finetuned"]]) == [12, 12]
    assert np.isfinite(rows["accuracy"]).all()


def _both(*contexts):
    stack = contextlib.ExitStack()
    for context in contexts:
        stack.enter_context(context)
    return stack


#: What a caller may have switched on.
CONTEXTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "both": lambda: _both(torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16)),
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_context_of_the_caller_changes_no_score(context):
    wanted = _table(network("plain"))
    outside = network("plain")
    with CONTEXTS[context]():
        found, inside = _table(outside), _table(network("prune"))
    np.testing.assert_array_equal(found["score"], wanted["score"])
    np.testing.assert_array_equal(inside["score"], _table(network("prune"))["score"])


@pytest.mark.filterwarnings("ignore:taylor_l1 on 32 images")
@pytest.mark.parametrize("context", CONTEXTS)
def test_a_context_of_the_caller_changes_no_other_measurement(context):
    def measured(model):
        data = images()
        similar = cwda.similarity(model, ["l1", "taylor_l1"], data=data, batch_size=4)
        valid = cwda.validity(model, ["l1", "taylor_l1"], data=data, batch_size=8)
        plan = make_plan(model, "taylor_l1", 0.5, IMAGE, data=data, batch_size=8)
        slim = remove(model, plan, IMAGE)
        columns = similar.table["spearman"], valid.table["spearman"], valid.table["regret"]
        return [*map(list, columns), list(plan.pruned.values()), slim.after.flops]

    model = network("plain")
    wanted = measured(model)
    with CONTEXTS[context]():
        found = measured(model)
    np.testing.assert_equal(found, wanted)


@pytest.mark.parametrize("context", CONTEXTS)
def test_fine_tuning_runs_wherever_it_is_called(context):
    model, (x, _) = network("plain"), images()
    pixels, labels = (x * 40 + 120).clamp(0, 255).to(torch.uint8), torch.arange(32) % CLASSES
    data = ImageData(pixels, labels, pixels, labels)

    def run():
        return run_experiment(
            model, data, ["taylor_l1"], ratios=0.5, strategies="layerwise", scope="all",
            finetuning=FineTuning(epochs=1), device="cpu",
        ).table.drop(columns="seconds")  # fmt: skip

    wanted = run()
    with CONTEXTS[context]():
        found = run()
    assert found.equals(wanted)


def test_a_weight_from_a_hook_of_the_users_has_a_reason():
    model = network("plain")
    raw = model[5].weight.detach().clone()
    del model[5].weight
    model[5].weight = raw
    found = collect(model, ["gradients", "activations"], data=images(), device="cpu").layers["5"]
    assert "store the weight as a parameter" in found.missing["gradients"]
    assert found.activations.images == 32


class Volumes(nn.Module):
    """Two convolutions over volumes, behind one over their slices."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Conv2d(3, 4, 3, padding=1)
        self.deep, self.norm = nn.Conv3d(4, 6, 3, padding=1), nn.BatchNorm3d(6)
        self.last, self.fc = nn.Conv3d(6, 5, 2), nn.Linear(5, CLASSES)

    def forward(self, x):
        x = torch.relu(self.flat(x)).unflatten(2, (2, -1))
        x = torch.relu(self.norm(self.deep(x)))
        return self.fc(torch.relu(self.last(x)).mean((2, 3, 4)))


def test_filters_of_volumes_are_removed_as_by_hand():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, data = Volumes().eval(), images()
        nn.init.normal_(model.norm.bias)

    def losses():
        with torch.no_grad():
            return nn.functional.cross_entropy(model(data[0]).double(), data[1], reduction="none")

    found = collect(model, "removal", data=data, batch_size=8, device="cpu").layers
    base = losses()
    places = {"flat": ["flat"], "deep": ["deep", "norm"], "last": ["last"]}
    for name, parts in places.items():
        for j in range(model.get_submodule(name).out_channels):
            kept = {k: v.clone() for k, v in model.state_dict().items()}
            with torch.no_grad():
                for part in parts:
                    model.get_submodule(part).weight[j] = 0
                    model.get_submodule(part).bias[j] = 0
            increase = losses() - base
            model.load_state_dict(kept)
            of_images = found[name].removal.of_images[:, j]
            np.testing.assert_allclose(of_images, increase, rtol=1e-4, atol=1e-6)
    result = cwda.validity(model, ["l2", "taylor_l1"], data=data, batch_size=8)
    assert result.table.query("criterion != 'random'")["spearman"].notna().all()
