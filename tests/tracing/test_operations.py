"""One vocabulary of operations, however they are written."""

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from cwda.tracing.operations import (
    ACTIVATIONS,
    ELEMENTWISE,
    NORM,
    PER_CHANNEL,
    SHUFFLING,
    kind,
    operation,
)


def node_of(layer):
    """The node of a layer in a graph, and the graph's module."""
    graph = fx.Graph()
    graph.output(graph.call_module("layer", (graph.placeholder("x"),)))
    module = fx.GraphModule({"layer": layer}, graph)
    return next(n for n in module.graph.nodes if n.op == "call_module"), module


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Hardshrink(), ELEMENTWISE),
        (nn.Tanhshrink(), ELEMENTWISE),
        (nn.Threshold(0, 0), ELEMENTWISE),
        (nn.Upsample(scale_factor=2), PER_CHANNEL),
        (nn.UpsamplingNearest2d(scale_factor=2), PER_CHANNEL),
        (nn.ZeroPad2d(1), PER_CHANNEL),
        (nn.SyncBatchNorm(3), NORM),
        (nn.PReLU(), NORM),
        (nn.ChannelShuffle(2), SHUFFLING),
        (nn.Unflatten(1, (3, 1)), ""),  # is told its sizes otherwise than the function
        (nn.Softmax(1), ""),
    ],
)
def test_kinds_of_layers(layer, expected):
    assert kind(*node_of(layer)) == expected


def test_a_layer_derived_without_a_forward_pass_of_its_own_keeps_its_kind():
    assert kind(*node_of(type("Mine", (nn.ReLU,), {})())) == ELEMENTWISE
    other = type("Other", (nn.ReLU,), {"forward": lambda self, x: x.sort(1)[0]})
    assert kind(*node_of(other())) == ""


@pytest.mark.parametrize("function", [F.hardshrink, F.tanhshrink, torch.relu_, F.leaky_relu])
def test_an_activation_is_one_as_layer_and_as_function(function):
    graph = fx.Graph()
    node = graph.call_function(function, (graph.placeholder("x"),))
    assert operation(node) in ACTIVATIONS
    assert kind(node) == ELEMENTWISE
