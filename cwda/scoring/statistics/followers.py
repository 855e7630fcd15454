"""Which BatchNorm and which activation follow a convolution, as the graph says."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.tracing.operations import (
    ACTIVATIONS,
    ADDITIVE,
    DIVIDING,
    ELEMENTWISE,
    GATES,
    MULTIPLICATIVE,
    NORM,
    PER_CHANNEL,
    kind,
    layer_name,
    operation,
)

__all__ = ["Followers", "find_followers"]

# Channel j of the output comes from channel j of the input.
_KEEP_CHANNELS = {ADDITIVE, DIVIDING, ELEMENTWISE, MULTIPLICATIVE, NORM, PER_CHANNEL}


@dataclass(frozen=True, eq=False)
class Followers:
    """A convolution with the BatchNorm and the activation that follow it.

    Attributes
    ----------
    name : str
        Path of the convolution in the model.
    calls : tuple of fx.Node
        Where the graph applies it: once, as a rule.
    batchnorm : fx.Node or None
        The only BatchNorm that takes the convolution's output as it is.
    activation : fx.Node or None
        The first activation that the output reaches through operations that keep its channels
        apart: BatchNorm, pooling, dropout, a residual sum, a gate.
    """

    name: str
    calls: tuple[fx.Node, ...]
    batchnorm: fx.Node | None = None
    activation: fx.Node | None = None


def find_followers(graph: fx.GraphModule) -> dict[str, Followers]:
    """What follows each convolution of a traced model, by its path, in the order of the graph.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.tracing.graph import trace
    >>> layer = find_followers(trace(cifar_resnet(20)))["layer1.0.conv2"]
    >>> layer.batchnorm.target, layer.activation.name
    ('layer1.0.bn2', 'relu_2')
    """
    calls: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if isinstance(_layer(graph, node), _ConvNd):
            calls.setdefault(str(node.target), []).append(node)
    return {name: _followers(graph, name, nodes) for name, nodes in calls.items()}


def _followers(graph: fx.GraphModule, name: str, calls: list[fx.Node]) -> Followers:
    if len(calls) > 1:
        return Followers(name, tuple(calls))
    norms = [user for user in calls[0].users if isinstance(_layer(graph, user), _BatchNorm)]
    batchnorm = norms[0] if len(norms) == 1 else None
    return Followers(name, tuple(calls), batchnorm, _first_activation(graph, calls[0]))


def _first_activation(graph: fx.GraphModule, start: fx.Node) -> fx.Node | None:
    """The activation that comes first in the order of the graph."""
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    reached = {start}
    waiting = [(order[start], start.name, start)]
    while waiting:
        node = heappop(waiting)[2]
        if _is_activation(graph, node):
            return node
        if node is not start and not _keeps_channels(graph, node):
            continue
        for user in node.users:
            if user not in reached:
                heappush(waiting, (order[user], user.name, user))
                reached.add(user)
    return None


def _is_activation(graph: fx.GraphModule, node: fx.Node) -> bool:
    if kind(node, graph) == MULTIPLICATIVE:  # x sigmoid(x), written out
        return bool(_own_gates(graph, node))
    layer = _layer(graph, node)
    if isinstance(layer, _BatchNorm):  # some libraries put the activation into the BatchNorm
        return any(layer_name(child) in ACTIVATIONS for child in layer.children())
    return operation(node, graph) in ACTIVATIONS and not any(
        node in _own_gates(graph, user)
        for user in node.users
        if kind(user, graph) == MULTIPLICATIVE
    )


def _own_gates(graph: fx.GraphModule, product: fx.Node) -> list[fx.Node]:
    """The factors of a product that are the sigmoid of another factor."""
    factors = product.all_input_nodes
    return [
        factor
        for factor in factors
        if operation(factor, graph) in GATES and any(x in factors for x in factor.all_input_nodes)
    ]


def _keeps_channels(graph: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(_layer(graph, node), _BatchNorm) or kind(node, graph) in _KEEP_CHANNELS


def _layer(graph: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return graph.get_submodule(str(node.target)) if node.op == "call_module" else None
