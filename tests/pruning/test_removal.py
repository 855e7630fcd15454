"""Physical removal agrees with masks; costs, latency and export of what is left."""

import copy
import sys

import numpy as np
import pytest
import torch

import cwda
from cwda.coupling import couple
from cwda.errors import CwdaError, ExportError, PlanError
from cwda.models import cifar_resnet
from cwda.pruning import export, make_plan, masked, remove
from cwda.pruning.comparing import compare
from cwda.pruning.removal import TOLERANCE
from cwda.tracing import count
from cwda.tracing.graph import trace
from tests.helpers.models import (
    Behind,
    Gated,
    Grouped,
    Joined,
    Twice,
    Vgg,
    built,
    resnet20,
    vision,
)

CIFAR = (1, 3, 32, 32)
IMAGE = (1, 3, 16, 16)

MODELS = {
    "resnet20": (resnet20, CIFAR),
    "vgg": (lambda: built(Vgg), IMAGE),
    "gated": (lambda: built(Gated), IMAGE),
    "grouped": (lambda: built(Grouped), IMAGE),
    "joined": (lambda: built(Joined), IMAGE),
    "twice": (lambda: built(Twice), IMAGE),
    "prelu": (lambda: built(lambda: Behind(torch.nn.PReLU(6))), IMAGE),
    "resnet18": (lambda: vision("resnet18"), CIFAR),
    "mobilenet_v2": (lambda: vision("mobilenet_v2"), CIFAR),
    "densenet121": (lambda: vision("densenet121"), CIFAR),
    "squeezenet1_1": (lambda: vision("squeezenet1_1"), (1, 3, 64, 64)),
    "shufflenet": (lambda: vision("shufflenet_v2_x0_5"), (1, 3, 64, 64)),
}


@pytest.mark.parametrize(
    ("name", "strategy"),
    [(name, "global") for name in MODELS]
    + [(name, "layerwise") for name in MODELS if name not in ("densenet121", "mobilenet_v2")],
)
def test_masked_and_slim_network_agree(name, strategy):
    make, shape = MODELS[name]
    model = make()
    coupling = couple(model, shape)
    plan = make_plan(model, "l2", 0.4, coupling, strategy=strategy, normalise="mean")
    found = remove(model, plan, coupling)
    images = torch.randn((2, *shape[1:]), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        one, other = masked(model, plan, coupling)(images), found.model(images)
        assert not torch.allclose(model(images), one)
    scale = max(1.0, float(one.abs().max()))
    assert float((one - other).abs().max()) < 1e-5 * scale
    assert found.difference < TOLERANCE
    # costs of the plan, of the files' sizes and of torch's counter are one
    assert plan.before == found.before == count(model, shape)
    assert plan.after == found.after == count(found.model, shape)
    assert found.after.flops < 0.9 * found.before.flops
    sizes = {each.name: each.n_filters for each in cwda.load(found.model)}
    for layer, pruned in plan.pruned.items():
        assert sizes[layer] == plan.n_filters[layer] - len(pruned)


def test_shortcuts_that_pad_channels_are_rewritten():
    model = resnet20()
    plan = make_plan(model, "l2", 0.5, CIFAR)
    slim = remove(model, plan, CIFAR).model
    assert isinstance(slim, type(model))
    nodes = trace(slim, torch.ones(CIFAR)).graph.nodes
    pads = [n.args[1] for n in nodes if n.target is torch.nn.functional.pad]
    stream = [sorted(plan.pruned[f"layer{i}.0.conv2"]) for i in (2, 3)]
    assert pads[0][4:] == (8 - sum(c < 8 for c in stream[0]), 8 - sum(c >= 24 for c in stream[0]))
    assert pads[1][4:] == (
        16 - sum(c < 16 for c in stream[1]),
        16 - sum(c >= 48 for c in stream[1]),
    )
    assert model.conv1.out_channels == 16


def test_inner_convolutions_alone_keep_the_class():
    model = resnet20()
    inner = {
        each.name: torch.arange(float(each.n_filters))
        for each in cwda.load(model)
        if each.name.endswith("conv1") and "." in each.name
    }
    plan = make_plan(model, inner, 0.5, CIFAR)
    slim = remove(model, plan, CIFAR).model
    assert all(type(part) is type(slim.get_submodule(name)) for name, part in model.named_modules())
    assert slim.layer2[0].conv1.out_channels == 16
    assert torch.equal(slim.layer2[0].conv1.weight, model.layer2[0].conv1.weight[16:])


def test_a_slim_network_trains_as_its_original_would():
    model = resnet20().train()
    model.conv1.weight.requires_grad_(False)
    slim = remove(model, make_plan(model, "l2", 0.5, CIFAR), CIFAR).model
    assert not slim.conv1.weight.requires_grad
    assert slim.bn1.training
    slim(torch.ones(2, 3, 32, 32)).sum().backward()
    assert slim.get_parameter("layer3.2.conv2.weight").grad is not None
    assert model.layer3[2].conv2.weight.grad is None


def test_what_cannot_be_removed_is_refused():
    model = built(Vgg)
    plan = make_plan(model, "l2", 1, IMAGE, minimum=0)
    with pytest.raises(CwdaError, match=r"leaves features\.0 no outputs"):
        remove(model, plan, IMAGE)
    with pytest.raises(PlanError, match="no convolution"):
        remove(resnet20(), plan, CIFAR)


@pytest.mark.parametrize("layer", ["features.4", "features.5", "head.2"])
def test_weights_that_are_not_finite_are_named(layer):
    model, whole = built(Vgg), built(Vgg)
    plan = make_plan(whole, "l1", 0.5, IMAGE)
    kept = next(j for j in range(12) if j not in plan.pruned["features.4"])
    model.get_submodule(layer).weight.data[min(kept, 4)] = torch.nan
    for coupling in (IMAGE, couple(whole, IMAGE)):
        with pytest.raises(CwdaError, match=rf"^layer {layer}: .* NaN or infinite; "):
            remove(model, plan, coupling)


def test_weights_that_are_not_finite_leave_filters_prunable():
    model = built(Vgg)
    free = couple(model, IMAGE).fixed
    model.features[0].weight.data[0] = torch.nan
    assert couple(model, IMAGE).fixed == free


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_difference_that_is_nan_is_never_the_smaller_one(order):
    class Log(torch.nn.Module):
        def forward(self, x):
            return torch.log(x)  # NaN for one of the images

    with torch.random.fork_rng(devices=[]):
        model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), Log())
    torch.nn.init.ones_(model[0].weight)
    torch.nn.init.zeros_(model[0].bias)
    other = copy.deepcopy(model)
    images = [torch.full((1, 1, 2, 2), sign) for sign in (1.0, -1.0)]
    found = compare(model, other, [images[at] for at in order], (), np.zeros(0, dtype=bool))
    assert np.isnan(found)


def test_another_result_is_never_handed_out(monkeypatch):
    model = built(Vgg)
    plan = make_plan(model, "l2", 0.5, IMAGE)
    monkeypatch.setattr("cwda.pruning.removal.masked", lambda model, *_: copy.deepcopy(model))
    with pytest.raises(CwdaError, match="differ from the masked network's"):
        remove(model, plan, IMAGE)


def test_latency_before_and_after():
    model = built(Vgg)
    found = remove(model, make_plan(model, "l2", 0.5, IMAGE), IMAGE)
    table = found.measure((4, 3, 16, 16), repeats=5)
    assert table.index.tolist() == ["before", "after"]
    assert table["parameters"].tolist() == [found.before.parameters, found.after.parameters]
    assert (table["latency_low"] <= table["latency_ms"]).all()
    assert (table["latency_ms"] <= table["latency_high"]).all()
    assert table["batch"].tolist() == [4, 4]


@pytest.mark.parametrize("ending", ["safetensors", "pt", "pt2", "onnx"])
def test_a_slim_network_survives_its_file(tmp_path, ending):
    if ending == "onnx":
        pytest.importorskip("onnxscript", reason="writing ONNX needs the extra 'onnx'")
    model = cifar_resnet(8)
    plan = make_plan(model, "l2", 0.5, CIFAR)
    slim = remove(model, plan, CIFAR).model
    path = export(slim, tmp_path / f"slim.{ending}", CIFAR)
    images = torch.randn((3, 3, 32, 32), generator=torch.Generator().manual_seed(3))
    if ending == "pt2":
        again = torch.export.load(path).module()
        with torch.no_grad():
            assert torch.allclose(again(images), slim.eval()(images), atol=1e-6)
        return
    layers, read = cwda.load(slim), cwda.load(path)
    assert [each.n_filters for each in read] == [each.n_filters for each in layers]
    for one, other in zip(layers, read, strict=True):
        assert torch.equal(one.weight.detach(), other.weight.detach())
    if ending != "onnx":
        assert [each.name for each in read] == [each.name for each in layers]


def test_export_refuses_with_one_line(tmp_path, monkeypatch):
    model = built(Vgg)
    with pytest.raises(ExportError, match=r"end the name with \.safetensors, \.pt, \.pt2, \.onnx"):
        export(model, tmp_path / "model.onx", IMAGE)
    with pytest.raises(CwdaError, match="does not exist"):
        export(model, tmp_path / "no" / "model.pt", IMAGE)
    with pytest.raises(ExportError, match="PyTorch cannot write Vgg"):
        export(model, tmp_path / "model.pt2", (1, 4, 16, 16))
    monkeypatch.setattr(sys.modules["cwda.pruning.export"], "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"cwda\[onnx\]"):
        export(model, tmp_path / "model.onnx", IMAGE)


@pytest.mark.gpu
def test_removal_on_cuda():
    model = vision("mobilenet_v2").cuda()
    plan = make_plan(model, "l2", 0.4, CIFAR, measure="flops", strategy="global")
    found = remove(model, plan, CIFAR)
    assert found.difference < TOLERANCE
    assert found.measure((8, 3, 32, 32), repeats=3)["device"].tolist() == ["cuda:0"] * 2
