"""What Torch-Pruning's own importances compute, as ``docs/neighbours.md`` says."""

import numpy as np
import pytest
import torch
import torch_pruning as tp
from scipy.spatial.distance import cdist
from torch import nn
from torch.nn import functional as F
from torch_pruning.pruner.importance import FPGMImportance

FIRST = {"group_reduction": "first", "normalizer": None}
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0])


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 6), nn.Flatten()
        )
    return made.eval()


def group_of(model, channels=range(6)):
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=IMAGES[:1])
    return graph.get_pruning_group(model[0], tp.prune_conv_out_channels, list(channels))


def test_fpgm_measures_distances_of_squares(model):
    squares = model[0].weight.detach().flatten(1).double().numpy() ** 2
    found = FPGMImportance(**FIRST)(group_of(model))
    np.testing.assert_allclose(found, cdist(squares, squares).sum(0), rtol=1e-4)


def test_hessian_keeps_the_last_image(model):
    importance = tp.importance.HessianImportance(**FIRST)
    for loss in F.cross_entropy(model(IMAGES), LABELS, reduction="none"):
        model.zero_grad()
        loss.backward(retain_graph=True)
        importance.accumulate_grad(model)
    last = model[0].weight.grad.clone()
    found = importance(group_of(model))
    expected = (model[0].weight.detach() * last).square().flatten(1).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_taylor_leaves_batchnorm_out_and_magnitude_does_not(model):
    F.cross_entropy(model(IMAGES), LABELS).backward()
    taylor = tp.importance.TaylorImportance(normalizer=None)
    magnitude = tp.importance.MagnitudeImportance(normalizer=None)
    before = taylor(group_of(model)), magnitude(group_of(model))
    model[1].weight.data.mul_(100)
    np.testing.assert_array_equal(taylor(group_of(model)), before[0])
    assert (magnitude(group_of(model)) > before[1]).all()


def test_a_group_of_some_channels_has_no_importance(model):
    with pytest.raises(RuntimeError, match="out of bounds"):
        tp.importance.MagnitudeImportance()(group_of(model, [5, 1]))
