"""The dataflow graph of a model, by symbolic tracing with `torch.fx`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

from cwda.errors import TracingError
from cwda.models.evaluate import evaluation_mode
from cwda.tracing.copies import duplicate, first_line
from cwda.tracing.tracer import DataDependentError, ExampleTracer, LayerTracer, place_in_forward

__all__ = ["evaluation_mode", "fault", "reproducible", "takes", "trace"]


def trace(
    model: nn.Module, example: Tensor | None = None, *, whole: bool = False
) -> fx.GraphModule:
    """The graph of `model` as it computes in evaluation mode.

    Nodes of kind ``call_module`` name convolutions, BatchNorms and other layers of
    `torch.nn` by their path in `model`. The graph shares these layers, and so all
    weights, with `model`; their training flags stay as they were. Arguments of the forward
    pass beyond the first have their defaults.

    Parameters
    ----------
    model : nn.Module
        The network.
    example : Tensor, optional
        An input. With it the graph is that of inputs of this size: Python code that looks at
        shapes can be followed, and layers that compute more than their class in torch.nn are
        gone into.
    whole : bool
        Keep convolutions and BatchNorms as one node each, also with an example.

    Raises
    ------
    TracingError
        If the forward pass cannot be traced, as when it depends on the values of its input.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.tracing.graph import trace
    >>> nodes = trace(cifar_resnet(20)).graph.nodes
    >>> [node.target for node in nodes if node.op == "call_module"][:3]
    ['conv1', 'bn1', 'layer1.0.conv1']
    """
    name = type(model).__name__
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise TracingError(f"{name} only wraps a model; give its .module")
    for path, part in model.named_modules():
        if "_orig_mod" in part._modules:
            which = f"{path} of {name}" if path else name
            raise TracingError(f"{which} is compiled; use what it was made from, ._orig_mod")
    if isinstance(model, torch.jit.ScriptModule):
        raise TracingError(f"{name} is TorchScript, without Python code; give the model it is from")
    tracer = LayerTracer() if example is None else ExampleTracer(example, whole=whole)
    with _left_alone(model), evaluation_mode(model), reproducible(), torch.no_grad():
        try:
            graph = tracer.trace(model)
        # A forward pass may raise anything when it meets a symbolic value.
        except Exception as error:
            raise TracingError(_why_not(model, example, error)) from error
        return fx.GraphModule(tracer.root, graph, name)


def _why_not(model: nn.Module, example: Tensor | None, error: Exception) -> str:
    """Why a model could not be traced: the example, its inputs, or what its code does."""
    name, place = type(model).__name__, place_in_forward(error)
    where = f" ({place})" if place else ""
    if isinstance(error, DataDependentError):
        return (
            f"the forward pass of {name} depends on the values of its input{where}, so that it "
            "has no fixed graph; write it with torch.where or without that branch"
        )
    if isinstance(error, TypeError) and str(error).startswith("cannot assign"):
        return (
            f"the forward pass of {name} gives a buffer or parameter another tensor{where}; "
            "change it in place instead, such as by .copy_()"
        )
    if example is not None:
        wanted = _required(model)
        if wanted > 1:
            return (
                f"{name} takes {wanted} inputs; only networks of one input can be followed, so "
                "give the others defaults or wrap the network in one that makes them"
            )
        refused = fault(duplicate(model), example)
        if refused:
            return (
                f"{name} does not take an input of shape {tuple(example.shape)} ({refused}); "
                "give an example as the network expects it"
            )
    return (
        f"the forward pass of {name} cannot be traced by torch.fx ({first_line(error)}{where}); "
        "write it without branches or loops that depend on the input"
    )


def _required(model: nn.Module) -> int:
    """How many arguments a forward pass needs."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return 1
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(each.default is each.empty and each.kind not in kinds for each in parameters)


def takes(model: nn.Module, example: Tensor) -> bool:
    """Whether a model computes something of an input in evaluation mode."""
    with evaluation_mode(model):
        return not fault(duplicate(model), example)


def fault(model: nn.Module, example: Tensor) -> str:
    """What a model says of an input; empty if it takes it. Its state may change."""
    try:
        with reproducible(), torch.no_grad():
            model(example)
    except Exception as error:  # a forward pass may raise anything
        return first_line(error)
    return ""


@contextmanager
def reproducible() -> Iterator[None]:
    """Random numbers that are the same each time, and leave the global state as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """Give every part of a model the attributes back that it had."""
    held = ("_parameters", "_buffers", "_modules")
    before = [
        (part, dict(vars(part)), [(vars(part)[name], dict(vars(part)[name])) for name in held])
        for part in model.modules()
        if not isinstance(part, torch.jit.ScriptModule)  # its attributes are not in Python
    ]
    try:
        yield
    finally:
        for part, attributes, tables in before:
            vars(part).clear()
            vars(part).update(attributes)
            for table, entries in tables:
                table.clear()
                table.update(entries)
