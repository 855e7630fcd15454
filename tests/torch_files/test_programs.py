"""Exported programs and frozen TorchScript: weights, groups and transposition without running."""

from __future__ import annotations

import io
import json
import warnings
import zipfile

import pytest
import torch
from torch import nn

from cwda.errors import SourceError, UnreadableError
from cwda.loading import load

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Net(nn.Module):
    """Each kind of convolution that a program states in its own way."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, groups=8, bias=False)
        self.grouped = nn.Conv2d(8, 6, 3, groups=2, dilation=2)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2)
        self.line = nn.Conv1d(4, 5, 3)
        self.experts = nn.ParameterDict({"weight": nn.Parameter(torch.randn(1, 6, 6))})

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = self.up(self.grouped(self.depth(x)))
        x = self.line(x.flatten(2))
        return torch.bmm(x[:, :, :6], self.experts["weight"])


KINDS = [("first", 1, False), ("depth", 8, False), ("grouped", 2, False), ("up", 2, True),
         ("line", 1, False)]  # fmt: skip


@pytest.fixture(scope="module")
def net():
    return Net().eval()


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 12, 12),)), path)
    return path


def expected(net):
    return {layer.name: layer for layer in load(net)}


def test_exported_programs(exported, net):
    network = load(exported)
    assert [(layer.name, layer.groups, layer.transposed) for layer in network] == KINDS
    for layer in network:
        assert torch.equal(layer.weight, expected(net)[layer.name].weight)
    assert network.provenance.format == "torch.export"
    assert not network.assumptions
    assert [entry.name for entry in network.skipped] == ["experts.weight"]
    assert "bmm" in network.skipped[0].reason


def edited(source, target, edit):
    """A copy of an archive whose entries `edit` changes; those it makes None are left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = edit(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def test_without_the_program_the_weights_are_read_and_the_rest_assumed(exported, net, tmp_path):
    path = edited(exported, tmp_path / "m.pt2", lambda n, d: None if "models/" in n else d)
    network = load(path)
    assert torch.equal(network["grouped"].weight, expected(net)["grouped"].weight)
    assert any("groups = 1" in note for note in network.assumptions)


def test_views_into_one_storage(exported, tmp_path):
    """Two weights over the same bytes, one of them turned, as export.save writes shared data."""

    def edit(name, data):
        if name.endswith("weights_config.json"):
            config = json.loads(data)
            meta = json.loads(json.dumps(config["config"]["first.weight"]))
            meta["tensor_meta"]["sizes"] = [{"as_int": n} for n in (3, 3, 3, 3)]
            meta["tensor_meta"]["strides"] = [{"as_int": n} for n in (9, 27, 1, 3)]
            meta["tensor_meta"]["storage_offset"] = {"as_int": 27}
            config["config"]["view.weight"] = meta
            return json.dumps(config).encode()
        return data

    network = load(edited(exported, tmp_path / "m.pt2", edit))
    whole = network["first"].weight
    view = whole.flatten().as_strided((3, 3, 3, 3), (9, 27, 1, 3), 27)
    assert torch.equal(network["view"].weight, view)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sizes", [{"as_int": 2**40}] * 4), ("strides", [{"as_int": -1}] * 4), ("sizes", []),
     ("storage_offset", {"as_int": 2**50}), ("dtype", 99), ("sizes", [{"as_expr": "s0"}] * 4)],
)  # fmt: skip
def test_damaged_descriptions_of_weights(exported, tmp_path, key, value):
    def edit(name, data):
        if not name.endswith("weights_config.json"):
            return data
        config = json.loads(data)
        for meta in config["config"].values():
            meta["tensor_meta"][key] = value
        return json.dumps(config).encode()

    with pytest.raises(UnreadableError) as caught:
        load(edited(exported, tmp_path / "m.pt2", edit))
    assert caught.value.__cause__ is None


def test_exported_programs_of_earlier_versions(net, tmp_path):
    """Until version 2.7 the state dict was a file of torch.save inside the archive."""
    state, path = io.BytesIO(), tmp_path / "m.pt2"
    torch.save(net.state_dict(), state)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", "7.2")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", state.getvalue())
    assert torch.equal(load(path)["depth"].weight, net.depth.weight.detach())


def test_packages_of_compiled_code(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("archive_format", "pt2")
        archive.writestr("data/aotinductor/model/code.so", b"\x7fELF")
    with pytest.raises(UnreadableError, match="AOTInductor"):
        load(tmp_path / "m.pt2")


class Tied(nn.Module):
    """A weight of a convolution and a transposed one, and one in two numbers of groups."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 3, 3)
        self.halves, self.whole = nn.Conv2d(8, 8, 3, groups=2), nn.Conv2d(4, 8, 3)
        self.up.weight, self.whole.weight = self.down.weight, self.halves.weight

    def forward(self, x, y, z):
        return self.up(self.down(x)), self.halves(y), self.whole(z)


def tied_files(folder):
    """One network as module, exported program, its archive, TorchScript and ONNX."""
    tied = Tied().eval()
    inputs = tuple(torch.zeros(1, channels, 8, 8) for channels in (3, 8, 4))
    program = torch.export.export(tied, inputs)
    torch.export.save(program, folder / "m.pt2")
    script = torch.jit.trace(tied, inputs)
    script.save(str(folder / "m.pt"))
    torch.jit.freeze(script).save(str(folder / "frozen.pt"))
    torch.onnx.export(tied, inputs, folder / "m.onnx", dynamo=False)
    return tied, [program, *(folder / name for name in ("m.pt2", "m.pt", "m.onnx", "frozen.pt"))]


@pytest.mark.filterwarnings("ignore")
def test_a_tensor_of_two_kinds_of_convolutions_is_two_layers(tmp_path):
    pytest.importorskip("onnx")
    tied, sources = tied_files(tmp_path)
    wanted = load(tied)
    assert [(layer.name, layer.groups) for layer in wanted] == [
        ("down", 1),
        ("up", 1),
        ("halves", 2),
    ]
    for source in sources:
        network = load(source)
        for layer, other in zip(network, wanted, strict=True):
            assert torch.equal(layer.weight, other.weight)
            assert (layer.groups, layer.transposed) == (other.groups, other.transposed)
        if source == sources[-1]:  # a frozen network has no names
            assert any("one constant that 2 convolutions use" in n for n in network.assumptions)
            continue
        assert [layer.name for layer in network] == ["down", "up", "halves"]
        assert any("halves also as whole" in note for note in network.assumptions)


def test_one_name_of_two_kinds_of_convolutions(tmp_path):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(8, 4, 3, 3))

        def forward(self, x):
            x = nn.functional.conv2d(x, self.weight)
            return nn.functional.conv_transpose2d(x, self.weight)

    network = load(torch.export.export(Both(), (torch.zeros(1, 4, 9, 9),)))
    assert [layer.transposed for layer in network] == [False, True]


def test_exported_programs_in_memory(net, monkeypatch):
    program = torch.export.export(net, (torch.zeros(1, 3, 12, 12),))
    network = load(program, name="net")
    assert [(layer.name, layer.groups, layer.transposed) for layer in network] == KINDS
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(network, load(net), strict=True))

    def refuse(*_):
        raise RuntimeError("a custom\noperator")

    monkeypatch.setattr(torch.export, "save", refuse)
    with pytest.raises(SourceError, match=r"cannot be saved \(RuntimeError: a custom operator\)"):
        load(program)


@pytest.fixture(params=["scripted", "traced"])
def frozen(request, net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "scripted":
            net = nn.Sequential(*(getattr(net, name) for name, *_ in KINDS[:4])).eval()
            return torch.jit.freeze(torch.jit.script(net))
        return torch.jit.freeze(torch.jit.trace(net, torch.zeros(1, 3, 12, 12)))


def test_frozen_torchscript(frozen, net, tmp_path):
    frozen.save(str(tmp_path / "m.pt"))
    network = load(tmp_path / "m.pt")
    reference = expected(net)
    kinds = KINDS[: len(network)]
    assert len(kinds) >= 4
    found = [(layer.groups, layer.transposed) for layer in network]
    assert found == [(groups, transposed) for _, groups, transposed in kinds]
    for layer, (name, *_) in zip(network, kinds, strict=True):
        if name != "first":  # the normalisation was folded into it
            assert torch.equal(layer.weight, reference[name].weight)
    assert "folded" in network.assumptions[0]
    assert all(layer.name.startswith("c") for layer in network)


def test_weights_that_optimize_for_inference_packed_are_listed(net, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.optimize_for_inference(torch.jit.trace(net, torch.zeros(1, 3, 12, 12)))
    script.save(str(tmp_path / "m.pt"))
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        text = b"".join(archive.read(n) for n in archive.namelist() if n.endswith(".py")).decode()
    network = load(tmp_path / "m.pt")
    assert {layer.transposed for layer in network} >= {True}
    lost = [entry for entry in network.skipped if "packed" in entry.reason]
    assert len(lost) == text.count("mkldnn_convolution(")


@pytest.mark.parametrize("how", ["scripted", "frozen"])
@pytest.mark.filterwarnings("ignore")
def test_quantised_torchscript_says_so(tmp_path, how):
    engines = [e for e in torch.backends.quantized.supported_engines if e != "none"]
    if not engines:
        pytest.skip("this PyTorch has no engine for quantised layers")
    quantised = torch.ao.nn.quantized.Conv2d(3, 4, 3).eval()
    script = torch.jit.script(quantised)
    script = torch.jit.freeze(script) if how == "frozen" else script
    script.save(str(tmp_path / "m.pt"))
    with pytest.raises(UnreadableError, match="quantised"):
        load(tmp_path / "m.pt")


@pytest.mark.filterwarnings("ignore")
def test_torchscript_with_compiled_engines(tmp_path):
    torch.jit.trace(nn.ReLU(), torch.zeros(2)).save(str(tmp_path / "relu.pt"))
    with zipfile.ZipFile(tmp_path / "relu.pt") as archive:
        root = archive.namelist()[0].partition("/")[0]
    with zipfile.ZipFile(tmp_path / "relu.pt", "a") as archive:
        archive.writestr(f"{root}/code/__torch__/torch/classes/tensorrt.py", "")
    with pytest.raises(UnreadableError, match="TensorRT"):
        load(tmp_path / "relu.pt")
