"""BatchNorms in evaluation mode become part of the convolutions before them."""

from __future__ import annotations

from collections import Counter

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cwda.tracing.operations import is_torch_layer

__all__ = ["fold"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold(graph: fx.GraphModule) -> None:
    """Fold each BatchNorm that alone takes the output of a convolution, in place.

    Its node stays, and does nothing. The outputs change by rounding only.
    """
    nodes = [node for node in graph.graph.nodes if node.op == "call_module"]
    calls = Counter(str(node.target) for node in nodes)
    layers = dict(graph.named_modules(remove_duplicate=False))
    owners = Counter(map(id, layers.values()))
    for node in nodes:
        (user, *others) = [*node.users] or [None]
        if others or user is None or user.op != "call_module":
            continue
        conv, norm = layers[str(node.target)], layers[str(user.target)]
        if not isinstance(conv, _CONVOLUTIONS) or not isinstance(norm, _BatchNorm):
            continue
        alone = all(
            calls[str(each.target)] == 1 == owners[id(layer)] and _is_plain(layer)
            for each, layer in ((node, conv), (user, norm))
        )
        if alone and norm.running_mean is not None and not norm.training:
            graph.set_submodule(str(node.target), fuse_conv_bn_eval(conv, norm))
            graph.set_submodule(str(user.target), nn.Identity())


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer computes what its class does, from parameters of its own."""
    hooked = layer._forward_hooks or layer._forward_pre_hooks
    computed = nn.utils.parametrize.is_parametrized(layer)
    return is_torch_layer(layer) and not hooked and not computed
