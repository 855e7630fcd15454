"""The dataflow graph of a model, by symbolic tracing with `torch.fx`."""

from __future__ import annotations

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.errors import TracingError
from cwda.models.evaluate import evaluation_mode

__all__ = ["evaluation_mode", "trace"]


class _Tracer(fx.Tracer):
    """Convolutions and BatchNorms stay whole, also where a library subclasses them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, _ConvNd | _BatchNorm)
        return whole or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """The graph of `model` as it computes in evaluation mode.

    Nodes of kind ``call_module`` name convolutions, BatchNorms and other layers of
    `torch.nn` by their path in `model`. The graph shares these layers, and so all
    weights, with `model`; their training flags stay as they were.

    Raises
    ------
    TracingError
        If the forward pass cannot be traced, as when it depends on the values or the
        size of its input.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.pruning.graph import trace
    >>> nodes = trace(cifar_resnet(20)).graph.nodes
    >>> [node.target for node in nodes if node.op == "call_module"][:3]
    ['conv1', 'bn1', 'layer1.0.conv1']
    """
    name = type(model).__name__
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise TracingError(f"{name} only wraps a model; give its .module")
    tracer = _Tracer()
    with evaluation_mode(model):
        try:
            graph = tracer.trace(model)
        # A forward pass may raise anything when it meets a symbolic value.
        except Exception as error:
            lines = str(error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            raise TracingError(
                f"the forward pass of {name} cannot be traced by torch.fx ({reason}); write it "
                "without branches or loops that depend on the input"
            ) from error
    return fx.GraphModule(tracer.root, graph, name)
