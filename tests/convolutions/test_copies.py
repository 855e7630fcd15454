"""Copies of a network in one source: averages, settings and names of one tensor."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cwda.loading import load


def random(*shape):
    return torch.randn(*shape)


SHAPES = {"c1.weight": (8, 3, 3, 3), "c2.weight": (8, 8, 3, 3)}
TRAINED = {name: random(*shape) for name, shape in SHAPES.items()}


def weights(prefix=""):
    """Weights of one network at some time in its training."""
    return {f"{prefix}{name}": TRAINED[name] + 0.3 * random(*SHAPES[name]) for name in SHAPES}


def averaged():
    """The state dict that torch.optim.swa_utils makes of the same network."""
    network = nn.ModuleDict({"c1": nn.Conv2d(3, 8, 3), "c2": nn.Conv2d(8, 8, 3)})
    network.load_state_dict(weights(), strict=False)
    return AveragedModel(network).state_dict()


def other(prefix=""):
    """Weights of another network of the same architecture."""
    return {f"{prefix}{name}": random(*SHAPES[name]) for name in SHAPES}


def names(network):
    return [layer.name for layer in network]


@pytest.mark.parametrize(
    ("raw", "average"),
    [
        ("model.", "ema."),
        ("", "ema."),
        ("module.model.", "module.ema."),
        ("net.", "net.ema."),
        ("generator.model.", "generator.ema."),
        ("encoder.", "encoder_ema."),
        ("G.", "G_ema."),
        ("net_g.", "net_g_ema."),
        ("model.", "modelEMA."),
        ("online_model.", "ema_model."),
        ("module.model.", "module.model_ema.module."),
        ("a.b.model.", "a.b.swa_model.module."),
        ("module.model.", "averaged_model.module."),
        ("m.student.", "m.ema_teacher."),
        ("model.", "shadow."),
        ("_orig_mod.model.", "_orig_mod.EMA."),
        ("x.", "avg."),
        ("model.", "emaModel."),
        ("model.", "moving_avg_model."),
        ("net_d.", "exponential_moving_average_net_d."),
        ("ema.online_model.", "ema.ema_model."),
    ],
)
def test_averages_wherever_the_word_stands(raw, average):
    source = weights(raw) | weights(average)
    network = load(source)
    assert [entry.name for entry in network.skipped] == [
        f"{average}c1.weight",
        f"{average}c2.weight",
    ]
    assert all("moving average" in entry.reason for entry in network.skipped)
    assert torch.equal(network.layers[0].weight, source[f"{raw}c1.weight"])
    chosen = load(source, weights_key=average.removesuffix("."))
    assert torch.equal(chosen.layers[0].weight, source[f"{average}c1.weight"])
    assert len(load(weights(average))) == 2  # taken where there is no other


@pytest.mark.parametrize(
    "average",
    [
        {"state_dict_ema": weights("module.")},
        {"callbacks": {"EMA{'decay': 0.999}": {"ema_state_dict": weights("model.")}}},
        {"callbacks": {"StochasticWeightAveraging": {"average_model_state": weights()}}},
        {"callbacks": {"Own": {"best": weights("another.")}}},
        {"extra": {"swa": averaged()}},
        {"algorithms": [("EMA", {"ema_model": {"named_parameters_dict": weights("model.")}})]},
    ],
)
def test_averages_of_training_programs(average):
    network = load({"state_dict": weights("model.") | {"c.weight": random(8, 3, 3, 3)}, **average})
    assert names(network) == ["model.c1", "model.c2", "c"]
    assert network.skipped


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: f"ema_{name.replace('.', '_')}",  # buffers of mmcv's hook
        lambda name: name.replace("weight", "ema_weight"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model.", "backbone.stage."])
def test_averages_whose_own_names_say_so(rename, prefix):
    raw = weights(prefix)
    network = load({"state_dict": raw | {rename(k): v + 0.1 for k, v in raw.items()}})
    assert names(network) == [f"{prefix}c1", f"{prefix}c2"]
    assert len(network.skipped) == 2


def test_a_network_in_memory_keeps_all_its_layers():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.conv_avg = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.momentum, self.mask = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.conv_avg.load_state_dict(self.conv.state_dict())

    network = load(Block())
    assert names(network) == ["conv", "conv_avg", "momentum", "mask"]
    assert network.skipped == ()
    assert "moving averages of others are kept (conv_avg)" in network.assumptions[-1]


@pytest.mark.parametrize(("one", "other"), [("backbone", "backbone_momentum"), ("net", "lora_net")])
def test_networks_whose_names_hold_words_of_optimizers_and_adapters(one, other):
    source = weights(f"{one}.") | weights(f"{other}.")
    assert len(load(source)) == 4
    assert torch.equal(
        load(source, weights_key=other).layers[0].weight, source[f"{other}.c1.weight"]
    )
    source = weights(f"{one}.") | {"optimizer.sgd_momentum.c1.weight": random(8, 3, 3, 3)}
    assert "optimizer state" in load(source).skipped[0].reason


def test_averages_that_have_swapped_places_with_the_raw_weights():
    """As Lightning's WeightAveraging saves them."""
    raw = weights()
    source = {"state_dict": weights(), "current_model_state": raw}
    assert torch.equal(load(source)["c1"].weight, raw["c1.weight"])


def test_average_of_one_of_two_networks():
    source = {"g": weights(), "d": {"x.weight": random(4, 3, 3, 3)}, "g_ema": weights()}
    assert names(load(source)) == ["g.c1", "g.c2", "d.x"]
    del source["g"]
    assert names(load(source)) == ["d.x", "g_ema.c1", "g_ema.c2"]


@pytest.mark.parametrize(
    "source",
    [
        {f"{i}.{part}.weight": random(8, 8, 3, 3) for i in (5, 7) for part in ("conv", "ema")},
        {f"{i}.{p}.weight": random(8, 8, 3, 3) for i in (5, 7) for p in ("ema.a", "ema.b", "cv1")},
        {"stem.weight": random(8, 3, 3, 3), "ema.conv.weight": random(8, 8, 3, 3)},
        {"cinema.a.weight": random(8, 3, 3, 3), "a.weight": random(8, 3, 3, 3)},
        weights("model.")
        | {"ema.c1.weight": random(4, 3, 3, 3), "ema.c2.weight": random(4, 4, 3, 3)},
        weights("student.") | weights("teacher."),
        other("encoder.") | other("shadow_encoder."),
        other("branch.") | other("avg_branch."),
        {"stem.weight": random(8, 3, 3, 3)} | other("backbone.") | other("backbone_swa."),
        {f"{i}.{p}.weight": random(8, 8, 1, 1) for i in (0, 1) for p in ("c", "c_avg", "c_max")},
        {"conv.weight": random(9, 1, 1), "conv_avg.weight": random(9, 1, 1)},
    ],
)
def test_layers_that_are_only_called_so_stay(source):
    network = load(source)
    assert len(network) == len(source)
    assert network.skipped == ()


@pytest.mark.parametrize("key", ["hyper_parameters", "hparams", "config", "cfg", "args", "kwargs"])
@pytest.mark.parametrize("shared", [True, False])
def test_modules_among_the_settings(tmp_path, key, shared):
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    values = {k: v if shared else v + 1 for k, v in module.state_dict(prefix="net.").items()}
    path = tmp_path / "last.ckpt"
    torch.save({key: {"net": module}, "state_dict": values}, path)
    network = load(path)
    assert names(network) == ["net.0", "net.1"]
    assert torch.equal(network["net.0"].weight, values["net.0.weight"])
    assert {entry.name for entry in network.skipped} == {f"{key}.net.{i}.weight" for i in (0, 1)}
    assert all("settings" in entry.reason for entry in network.skipped)
    initial = load(path, weights_key=f"{key}.net")
    assert torch.equal(initial["0"].weight, module[0].weight)
    torch.save({key: {"net": module}}, path)
    assert len(load(path)) == 2  # taken where there is no other


def test_settings_in_a_namespace(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 8, 3))
    settings = argparse.Namespace(net=module, lr=0.1)
    torch.save({"args": settings, "model": {"net.0.weight": random(8, 3, 3, 3)}}, tmp_path / "m.pt")
    assert [entry.name for entry in load(tmp_path / "m.pt").skipped] == ["args.net.0.weight"]


def test_arrays_of_the_same_memory_are_one_layer():
    array = np.ones((4, 3, 3, 3), "f4")
    network = load({"a.weight": array, "b.weight": array, "c.weight": array.copy()})
    assert names(network) == ["a", "c"]


def test_views_that_differ_are_layers_of_their_own():
    base = random(8, 8, 3, 3)
    source = {"a.weight": base, "b.weight": base.transpose(0, 1), "c.weight": base[:4], "d.w": base}
    assert names(load(source)) == ["a", "b", "c"]


def test_each_name_of_a_tensor_tells_what_it_knows(tmp_path):
    """The first name comes from a plain dictionary, the second from a module with groups."""
    module = nn.Sequential(nn.Conv2d(8, 8, 3, groups=2))
    torch.save({"best": module.state_dict(), "net": module}, tmp_path / "m.pt")
    network = load(tmp_path / "m.pt")
    assert [layer.groups for layer in network] == [2]
    assert "also as net.0" in network.assumptions[-1]
