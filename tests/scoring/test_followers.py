"""Convolution, BatchNorm and activation are paired by the graph."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cwda.models import build
from cwda.scoring.statistics.followers import find_followers
from cwda.tracing.graph import trace


def followers_of(model):
    return find_followers(trace(model))


def paired(forward, **parts):
    """Name of the activation node behind `conv` in a model with that forward pass."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, x):
            return forward(self, x)

    with torch.random.fork_rng(devices=[]):
        return followers_of(Model())["conv"]


@pytest.mark.parametrize(
    ("name", "convolutions", "normalised", "activated"),
    [
        ("cifar_resnet20", 19, 19, 19),
        ("cifar_vgg16_bn", 13, 13, 13),
        ("resnet18", 20, 20, 20),
        ("mobilenet_v2", 52, 52, 35),  # 17 linear bottlenecks
        ("squeezenet1_1", 26, 0, 26),
        ("googlenet", 57, 57, 57),
        ("efficientnet_b0", 81, 49, 65),  # 32 convolutions squeeze, 16 are linear
        ("densenet121", 120, 59, 59),  # the others' outputs are joined before BatchNorm
    ],
)
def test_known_architectures(name, convolutions, normalised, activated):
    found = followers_of(build(name)).values()
    assert len(found) == convolutions
    assert sum(unit.batchnorm is not None for unit in found) == normalised
    assert sum(unit.activation is not None for unit in found) == activated


def test_activations_inside_the_batchnorm_of_timm():
    pytest.importorskip("timm")
    unit = followers_of(build("timm:efficientnet_b0"))["conv_stem"]
    assert unit.batchnorm is unit.activation
    assert unit.activation.target == "bn1"


@pytest.mark.parametrize(
    ("forward", "activation"),
    [
        (lambda m, x: F.relu(m.bn(m.conv(x))), "relu"),
        (lambda m, x: m.bn(m.conv(x)).relu_(), "relu_"),
        (lambda m, x: torch.tanh(F.max_pool2d(m.conv(x), 2)), "tanh"),
        (lambda m, x: F.dropout(m.conv(x), training=m.training).clamp(min=0), "clamp"),
        (lambda m, x: x + F.gelu(m.bn(m.conv(x)) + x), "gelu"),
        (lambda m, x: F.relu(torch.cat([m.conv(x), x], 1)), None),
        (lambda m, x: F.relu(m.conv(x).flatten(1)), None),
        (lambda m, x: m.conv(x), None),
    ],
)
def test_what_lies_between(forward, activation):
    unit = paired(forward)
    assert (unit.activation and unit.activation.name) == activation


def test_a_written_out_swish_is_the_product_and_a_gate_its_sigmoid():
    def swish(m, x):
        y = m.bn(m.conv(x))
        return F.relu(y * torch.sigmoid(y))

    def gate(m, x):
        return F.relu(x * torch.sigmoid(m.conv(x.mean((2, 3), keepdim=True))))

    assert paired(swish).activation.name == "mul"
    assert paired(gate).activation.name == "sigmoid"


def test_two_batchnorms_of_one_convolution_leave_no_choice():
    unit = paired(lambda m, x: m.bn(m.conv(x)), other=nn.BatchNorm2d(2))
    assert unit.batchnorm is not None

    def both(m, x):
        y = m.conv(x)
        return m.bn(y) + m.other(y)

    assert paired(both, other=nn.BatchNorm2d(2)).batchnorm is None


def test_a_sum_before_the_batchnorm_is_not_the_convolution_s():
    unit = paired(lambda m, x: F.relu(m.bn(m.conv(x) + x)))
    assert unit.batchnorm is None
