"""The loss without a filter, against removing one filter and running the whole network."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cwda.errors import CwdaError, DataError
from cwda.models import cifar_resnet, initialise
from cwda.pruning import Plan, masked
from cwda.scoring import collect, scores
from cwda.scoring.removal.branches import Branches
from cwda.scoring.removal.channels import carriers
from cwda.scoring.removal.increases import loss_increases
from cwda.tracing.graph import trace
from tests.helpers.small_nets import CLASSES, Dense, Residual, alive, images, losses, plain

#: What is zeroed by hand where a filter is removed: the convolution and where its channel goes, as
#: (tensor, number of its first channel).
BY_HAND = {
    Residual: {
        "stem": [("stem", 0), ("bn", 0)],
        "conv1": [("conv1", 0), ("bn1", 0)],
        "conv2": [("conv2", 0), ("bn2", 0)],
        "short": [("short", 0)],
    },
    Dense: {
        "stem": [("stem", 0), ("bn1", 0), ("bn2", 0), ("bn3", 3)],
        "conv1": [("conv1", 0), ("bn2", 4), ("bn3", 7)],
        "point": [("point", 0), ("deep", 0), ("bn4", 0)],
    },
    plain: {"0": [("0", 0)], "3": [("3", 0), ("4", 0)], "6": [("6", 0)]},
}


def without(model, places, j):
    """A copy in which filter j and what its channel passes are zero."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, first in places:
            layer = twin.get_submodule(name)
            layer.weight[first + j] = 0
            if layer.bias is not None:
                layer.bias[first + j] = 0
    return twin


@pytest.mark.parametrize("make", BY_HAND, ids=lambda make: make.__name__)
def test_each_filter_is_removed_as_by_hand(make):
    model, data = alive(make), images()
    found = collect(model, "removal", data=data, batch_size=4, device="cpu")
    base = losses(model, data)
    for layer, places in BY_HAND[make].items():
        of_images = found.layers[layer].removal.of_images
        for j in range(of_images.shape[1]):
            by_hand = losses(without(model, places, j), data) - base
            np.testing.assert_allclose(of_images[:, j], by_hand, rtol=1e-4, atol=1e-5)
        assert float(of_images.abs().max()) > 1e-3


def test_a_channel_that_only_it_has_is_masked_as_pruning_does():
    model, data = alive(Dense), images()
    removal = collect(model, "removal", layers=["point"], data=data, device="cpu")
    base = losses(model, data)
    for layer in ("point",):
        n = model.get_submodule(layer).out_channels
        for j in range(n):
            plan = Plan(
                network="Dense", criterion="", strategy="layerwise", normalise=None, ratio=0.1,
                n_filters={layer: n, "deep": n}, pruned={layer: [j], "deep": [j]}, skipped={},
            )  # fmt: skip
            twin = masked(model, plan, (1, 3, 8, 8))
            increase = losses(twin, data) - base
            of_images = removal.layers[layer].removal.of_images[:, j]
            np.testing.assert_allclose(of_images, increase, rtol=1e-4, atol=1e-5)


def test_means_and_errors_are_those_of_the_images():
    found = collect(alive(plain), "removal", data=images(), batch_size=4, device="cpu")
    removal = found.layers["3"].removal
    increases = removal.of_images.numpy()
    assert increases.shape == (9, 5)
    assert removal.images == found.images == 9
    np.testing.assert_allclose(removal.mean, increases.mean(0))
    np.testing.assert_allclose(removal.error, increases.std(0, ddof=1) / 3)
    table = scores(alive(plain), "oracle", data=images(), device="cpu").table
    np.testing.assert_allclose(
        table.query("layer == '3'")["score"], increases.mean(0), rtol=1e-5, atol=1e-7
    )


def test_sets_of_filters_leave_together():
    model, data = alive(Residual), images()
    sets = torch.tensor([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [1] * 6], dtype=torch.bool)
    found = loss_increases(model, {"conv2": sets}, [data], torch.device("cpu"))
    found = found.of_layers["conv2"]
    twin = copy.deepcopy(model)
    for j in (1, 3, 4):
        twin = without(twin, BY_HAND[Residual]["conv2"], j)
    by_hand = losses(twin, data) - losses(model, data)
    np.testing.assert_allclose(found[:, 0], by_hand, rtol=1e-4, atol=1e-5)
    assert found[:, 1].abs().max() == 0
    assert found[:, 2].abs().max() > 0


def test_what_comes_before_a_layer_is_computed_once(monkeypatch):
    model = cifar_resnet(20)
    initialise(model, seed=0)
    run_node, seen = Branches.run_node, []

    def counted(self, n):
        seen.append(n.name)
        return run_node(self, n)

    monkeypatch.setattr(Branches, "run_node", counted)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    data = x, torch.tensor([0, 1])
    collect(model, "removal", layers=["layer3.2.conv2"], data=data, device="cpu")
    assert len(seen) == len(set(seen))


def test_a_generator_is_taken_and_other_statistics_come_along():
    batches = ((x[None].repeat(2, 1, 1, 1), torch.tensor([0, CLASSES - 1])) for x in images()[0])
    found = collect(alive(plain), ["removal", "activations"], data=batches, device="cpu")
    assert found.images == 18
    assert len(found.layers["0"].removal.of_images) == found.layers["0"].activations.images


def test_what_is_not_removed_says_why():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.other = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.other(self.conv(self.conv(x))).mean((2, 3))

    found = collect(alive(Twice), "removal", data=images(), device="cpu")
    assert found.layers["conv"].missing["removal"] == (
        "the forward pass applies this convolution 2 times"
    )
    assert found.layers["other"].removal.images == 9

    class Across(nn.Module):
        """Takes a value that has channels first past the layer."""

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            turned = x.transpose(0, 1).reshape(3, -1)
            return self.conv(x).mean((2, 3)) + turned.mean()

    found = collect(alive(Across), "removal", data=images(), device="cpu")
    assert "images on its first axis" in found.layers["conv"].missing["removal"]


def test_removal_asks_for_labels_and_known_layers():
    model, (x, y) = alive(plain), images()
    with pytest.raises(DataError, match="needs labels"):
        collect(model, "removal", data=x, device="cpu")
    with pytest.raises(
        DataError, match=r"labels run from \d+ to \d+, but the model has \d+ classes, 0 to \d+;"
    ):
        collect(model, "removal", data=(x, y + CLASSES), device="cpu")
    with pytest.raises(CwdaError, match="no convolution 'conv9'"):
        collect(model, "removal", layers="conv9", data=(x, y), device="cpu")
    assert "removal" not in collect(model, data=(x, y), device="cpu").needs


def test_channels_are_followed_through_concatenations():
    model = alive(Dense)
    graph = trace(model)
    nodes = {node.name: node for node in graph.graph.nodes}
    channels = {nodes["stem"]: 4, nodes["conv1"]: 3, nodes["conv2"]: 3, nodes["cat"]: 7}
    found = carriers(graph, nodes["conv1"], channels)
    assert {node.name: [*where] for node, where in found.items()} == {
        "conv1": [0], "cat": [4], "bn2": [4], "relu_1": [4], "cat_1": [7], "bn3": [7],
        "relu6": [7],
    }  # fmt: skip
