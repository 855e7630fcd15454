"""Where the channels of a convolution go, up to the layers that read them.

A removed filter takes its channel along: BatchNorms and depthwise convolutions that the channel
passes would make something of zeros (their shifts), and pruning removes their part of it too.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.tracing.operations import (
    ADDITIVE,
    DIVIDING,
    ELEMENTWISE,
    MULTIPLICATIVE,
    NORM,
    PER_CHANNEL,
    kind,
    operation,
)

__all__ = ["carriers", "last_alone"]

#: The places at which a value has the channels of a convolution: each the number of the first.
Offsets = frozenset[int]

_NONE: Offsets = frozenset()


def carriers(
    graph: fx.GraphModule, start: fx.Node, channels: Mapping[fx.Node, int]
) -> dict[fx.Node, Offsets]:
    """The nodes whose values have the channels of a convolution and of nothing else.

    Channel j of the convolution is channel ``offset + j`` of their value. A sum with another
    value has channels of both, and ends the way; so does a layer that reads the channels.

    Parameters
    ----------
    graph : fx.GraphModule
        A traced model.
    start : fx.Node
        The node of the convolution.
    channels : mapping of fx.Node to int
        Number of channels of each value: the second size of a tensor.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.tracing.graph import trace
    >>> graph = trace(cifar_resnet(20))
    >>> start = next(node for node in graph.graph.nodes if node.target == "layer1.0.conv1")
    >>> [node.name for node in carriers(graph, start, {})]
    ['layer1_0_conv1', 'layer1_0_bn1', 'relu_1']
    """
    found: dict[fx.Node, Offsets] = {start: frozenset({0})}
    reached = False
    for node in graph.graph.nodes:
        if node is start:
            reached = True
        elif reached and any(source in found for source in node.all_input_nodes):
            offsets = _offsets(graph, node, found, channels)
            if offsets:
                found[node] = offsets
    return found


def _offsets(
    graph: fx.GraphModule,
    node: fx.Node,
    found: Mapping[fx.Node, Offsets],
    channels: Mapping[fx.Node, int],
) -> Offsets:
    """Where the channels are in the value of a node that takes them."""
    sources = node.all_input_nodes
    of_sources = [found.get(source, _NONE) for source in sources]
    what = kind(node, graph)
    if what in (NORM, ELEMENTWISE, PER_CHANNEL) or _keeps_apart(graph, node):
        return of_sources[0]
    if what == ADDITIVE:
        return frozenset.intersection(*of_sources)
    if what == MULTIPLICATIVE:
        return frozenset.union(*of_sources)
    if what == DIVIDING:
        return of_sources[0]
    if operation(node, graph) in ("cat", "concat", "concatenate"):
        return _joined(node, found, channels)
    return _NONE


def _keeps_apart(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a layer is a BatchNorm or a depthwise convolution."""
    if node.op != "call_module":
        return False
    layer = graph.get_submodule(str(node.target))
    if isinstance(layer, _ConvNd):
        return 1 < layer.groups == layer.in_channels == layer.out_channels
    return isinstance(layer, _BatchNorm)


def _joined(
    node: fx.Node, found: Mapping[fx.Node, Offsets], channels: Mapping[fx.Node, int]
) -> Offsets:
    """Where the channels are in a concatenation of channels."""
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = node.kwargs.get(
        "dim", node.kwargs.get("axis", node.args[1] if len(node.args) > 1 else 0)
    )
    if axis not in (1, -3) or not isinstance(parts, list | tuple):
        return _NONE
    offsets, at = set[int](), 0
    for part in parts:
        if not isinstance(part, fx.Node) or part not in channels:
            return _NONE
        offsets |= {at + offset for offset in found.get(part, _NONE)}
        at += channels[part]
    return frozenset(offsets)


def last_alone(start: fx.Node, found: Mapping[fx.Node, Offsets]) -> fx.Node:
    """The last node up to which nothing else reads the convolution's channels.

    Whatever is computed between the two differs in the removed channels only.
    """
    node = start
    while len(node.users) == 1:
        (user,) = node.users
        if user not in found or user.all_input_nodes != [node]:
            break
        node = user
    return node
