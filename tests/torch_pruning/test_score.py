"""Importances of Torch-Pruning as criteria."""

import numpy as np
import pytest
import torch
import torch_pruning as tp
from torch.nn import functional as F

import cwda
from cwda.errors import CriterionError
from cwda.models import cifar_resnet, initialise
from cwda.scoring.registry import _REGISTER
from cwda.torch_pruning import as_score
from tests.helpers.networks import network, random_layer

IMAGE = torch.zeros(1, 3, 8, 8)


@pytest.fixture(autouse=True)
def _register(monkeypatch):
    monkeypatch.setattr("cwda.scoring.registry._REGISTER", dict(_REGISTER))


@pytest.fixture(scope="module")
def model():
    made = cifar_resnet(20)
    initialise(made, seed=0)
    return made.eval()


def test_a_layer_on_its_own():
    layer = random_layer(filters=12)
    rows = layer.weight.flatten(1).numpy()
    squared = cwda.criterion("squared", formula="sum_p F_jp^2")(
        as_score(tp.importance.GroupMagnitudeImportance(p=2, normalizer=None))
    )
    found = cwda.scores(layer, [squared], device="cpu").table["score"]
    np.testing.assert_allclose(found, (rows**2).sum(1), rtol=1e-6)
    similar = cwda.similarity(network(layer), ["l2", squared], device="cpu").table
    assert similar["spearman"].tolist() == [1.0]


def test_the_group_that_a_pruner_shows(model):
    importance = tp.importance.GroupMagnitudeImportance(p=1, normalizer=None)
    grouped = cwda.criterion("grouped", formula="mean over the group")(
        as_score(importance, model=model, example_inputs=IMAGE)
    )
    table = cwda.scores(model, [grouped], device="cpu").table
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=IMAGE)
    for name in ("layer1.0.conv1", "layer2.1.conv1"):
        conv = model.get_submodule(name)
        group = graph.get_pruning_group(
            conv, tp.prune_conv_out_channels, list(range(conv.out_channels))
        )
        np.testing.assert_allclose(table[table["layer"] == name]["score"], importance(group))
    # Torch-Pruning 1.6.1 loses the offset of channels that a shortcut pads
    padded = table[table["layer"] == "layer3.2.conv2"]["reason"]
    assert padded.str.contains("IndexError").all()


def test_gradients_that_are_there_count(model):
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 3])
    F.cross_entropy(model(images), labels).backward()
    taylor = tp.importance.GroupTaylorImportance(group_reduction="first", normalizer=None)
    theirs = cwda.criterion("theirs", formula="sum_p |g_p F_jp|")(
        as_score(taylor, model=model, example_inputs=IMAGE)
    )
    model.zero_grad()
    result = cwda.scores(model, ["snip", theirs], data=(images, labels), batch_size=4, device="cpu")
    wide = result.wide("layer2.0.conv1")
    np.testing.assert_allclose(wide["theirs"], wide["snip"], rtol=1e-4)


def test_what_goes_wrong_is_the_reason_of_the_row(model):
    def fails(group):
        raise KeyError("gone")

    cases = {
        "no importance of 'conv': KeyError": as_score(fails),
        "it gives None": as_score(lambda group: None),
        "has no such layer": as_score(lambda group: None, model=model, example_inputs=IMAGE),
    }
    for told, score in cases.items():
        criterion = cwda.criterion("odd", formula="?")(score)
        rows = cwda.scores(random_layer(), ["l1", criterion], device="cpu").table
        assert rows[rows["criterion"] == "odd"]["reason"].str.contains(told).all()
        assert rows[rows["criterion"] == "l1"]["score"].notna().all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"importance": tp.importance.FPGMImportance}, "an importance is needed"),
        ({"importance": 3}, "an importance is needed"),
        ({"model": "resnet18"}, "a model is needed"),
        ({"model": torch.nn.Identity()}, "example_inputs=..., a tensor, is needed"),
        ({"model": torch.nn.Conv2d(3, 4, 3), "example_inputs": torch.zeros(1, 5, 8, 8)}, "trace"),
    ],
)
def test_bad_arguments_are_told_in_one_line(given, told):
    given = {"importance": tp.importance.FPGMImportance()} | given
    with pytest.raises(CriterionError, match=told) as error:
        as_score(given.pop("importance"), **given)
    assert "\n" not in str(error.value)
