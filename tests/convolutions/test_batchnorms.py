"""The BatchNorm behind a convolution, told from names, shapes and order alone."""

import pytest
import torch
from torch import nn

import cwda
from cwda.models import cifar_resnet
from cwda.scoring import collect, scores
from tests.helpers.modules import mixed


def _scrambled(model):
    """A model whose BatchNorms are all different."""
    rng = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias):
                value.data = torch.randn(value.shape, generator=rng)
    return model


def norm(length):
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: torch.rand(length) for name in names}


def state(**modules):
    """A state dict: filters x channels of convolutions, lengths of BatchNorms."""
    tensors = {}
    for name, size in modules.items():
        path = name.replace("__", ".")
        if isinstance(size, int):
            tensors |= {f"{path}.{leaf}": value for leaf, value in norm(size).items()}
        else:
            tensors[f"{path}.weight"] = torch.zeros(*size, 3, 3)
    return tensors


def found(source):
    return {layer.name: layer.batchnorm and layer.batchnorm.name for layer in cwda.load(source)}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("alphabetical", [False, True])
def test_the_graph_says_the_same(alphabetical):
    model = _scrambled(cifar_resnet(20, shortcut="B"))
    traced = collect(model, "batchnorm").layers
    tensors = model.state_dict()
    for layer in cwda.load(dict(sorted(tensors.items())) if alphabetical else tensors):
        assert torch.equal(layer.batchnorm.gamma, traced[layer.name].batchnorm.gamma)
        assert torch.equal(layer.batchnorm.beta, traced[layer.name].batchnorm.beta)


@pytest.mark.parametrize(
    ("conv", "behind"),
    [
        ("conv1", "bn1"),
        ("stem__conv", "stem__norm"),
        ("features__0", "features__1"),
        ("Conv2d_1a", "BatchNorm_1a"),
        ("layer__convolution", "layer__normalization"),
        ("block_1_expand", "block_1_expand_BN"),
        ("conv1", "conv1_bn"),
        ("conv1", "bn_conv1"),
    ],
)
def test_names_that_go_together(conv, behind):
    tensors = state(**{conv: (8, 3), behind: 8})
    expected = {conv.replace("__", "."): behind.replace("__", ".")}
    assert found(tensors) == expected
    assert found(dict(sorted(tensors.items()))) == expected


def test_order_tells_where_names_do_not():
    pair = state(first=(8, 3), a=8, second=(8, 8), b=8)
    assert found(pair) == {"first": "a", "second": "b"}
    shared = state(left=(8, 3), right=(8, 3), a=8)
    assert found(shared) == {"left": None, "right": None}
    assert "other convolutions" in cwda.load(shared)["right"].no_batchnorm


def test_a_batchnorm_in_front_is_not_taken():
    before = state(bn1=8, conv1=(8, 8), bn2=8, conv2=(16, 8))
    layers = cwda.load(before)
    assert found(before) == {"conv1": None, "conv2": None}
    assert layers["conv1"].no_batchnorm == "bn1 fits by its name, bn2 by its place"
    # sorted names say nothing of the order, but bn2 has the length of the inputs of conv2
    assert found(dict(sorted(before.items()))) == {"conv1": None, "conv2": None}


def test_lengths_decide():
    assert found(state(conv1=(8, 3), bn1=4)) == {"conv1": None}
    reason = cwda.load(state(conv1=(8, 3), bn1=4))["conv1"].no_batchnorm
    assert reason == "no BatchNorm of this many channels belongs to it by name or order"
    assert "holds no BatchNorm" in cwda.load({"a.weight": torch.zeros(4, 3, 3, 3)})[0].no_batchnorm


def test_scores_come_from_a_file_of_unknown_architecture(tmp_path):
    tensors = state(head=(6, 3), a=6, tail=(5, 6), b=7)
    path = tmp_path / "mine.pth"
    torch.save(tensors, path)
    for source in (path, str(path), tensors, cwda.load(path)):
        table = scores(source, ["bn_gamma", "bn_beta"]).table.set_index(["layer", "criterion"])
        assert table.loc[("head", "bn_gamma"), "score"].tolist() == pytest.approx(
            tensors["a.weight"].abs().tolist()
        )
        assert table.loc["tail", "score"].isna().all()
        assert table.loc["tail", "reason"].str.contains("by name or order").all()


def test_a_module_is_asked_before_its_names():
    model = mixed()
    table = scores(model, ["bn_gamma"]).table
    traced = collect(model, "batchnorm").layers
    for name, rows in table.groupby("layer"):
        statistics = traced[name]
        if "batchnorm" in statistics.present:
            assert rows["score"].tolist() == statistics.batchnorm.gamma.abs().tolist()
        else:
            assert set(rows["reason"]) == {statistics.missing["batchnorm"]}
