"""Other weights of one network: what BatchNorm lets a convolution change without any effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.scoring.statistics.followers import find_followers
from cwda.tracing.graph import trace

__all__ = ["GAUGES", "regauge"]

#: Factors of the filters of a layer, drawn for so many.
Factors = Callable[[int, torch.Generator], Tensor]


def _each(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, generator=generator, dtype=torch.float64).exp()


def _one(n: int, generator: torch.Generator) -> Tensor:
    return _each(1, generator).expand(n).clone()


def _signs(n: int, generator: torch.Generator) -> Tensor:
    return torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0).double()


#: The transformations, by name: standard lognormal factors of each filter or of each layer, and
#: signs of the filters.
GAUGES: Mapping[str, Factors] = {"filter scale": _each, "layer scale": _one, "filter sign": _signs}


def regauge(model: nn.Module, gauge: str, generator: torch.Generator) -> list[str]:
    """Multiply filters in front of BatchNorm by factors, in place, so that nothing else changes.

    With c_j filter j and its bias become c_j times as large, so do the running mean, and
    the root of running variance plus eps; for a negative c_j the sign of gamma changes too. In
    evaluation mode the network computes the same. Where c_j^2 (v_j + eps) < eps a larger c_j
    is taken, since a variance is not negative.

    Parameters
    ----------
    model : nn.Module
        Traceable, float64 and in evaluation mode.
    gauge : str
        Key of `GAUGES`.
    generator : torch.Generator
        What draws the factors.

    Returns
    -------
    list of str
        The convolutions changed: those that are applied once and have a BatchNorm of their own,
        with running statistics, and with gamma if signs change.

    Raises
    ------
    TracingError
        If the model cannot be traced.
    """
    graph = trace(model)
    users: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "call_module":
            users[str(node.target)] = users.get(str(node.target), 0) + 1
    changed = []
    for name, followers in find_followers(graph).items():
        norm = None if followers.batchnorm is None else str(followers.batchnorm.target)
        # What else reads the convolution would see the new scale.
        if norm is None or users[norm] > 1 or len(followers.calls[0].users) > 1:
            continue
        conv, batchnorm = model.get_submodule(name), model.get_submodule(norm)
        assert isinstance(conv, _ConvNd)
        assert isinstance(batchnorm, _BatchNorm)
        if _rescale(conv, batchnorm, GAUGES[gauge], generator):
            changed.append(name)
    return changed


@torch.no_grad()
def _rescale(
    conv: _ConvNd, batchnorm: _BatchNorm, draw: Factors, generator: torch.Generator
) -> bool:
    mean, variance = batchnorm.running_mean, batchnorm.running_var
    if mean is None or variance is None or (conv.transposed and conv.groups > 1):
        return False
    factors = draw(conv.out_channels, generator)
    if bool((factors < 0).any()) and batchnorm.weight is None:
        return False
    # A variance of 0 is the least: c^2 (v + eps) >= eps. One factor stays one for the layer.
    least = (batchnorm.eps / (variance + batchnorm.eps)).sqrt()
    if bool((factors == factors[0]).all()):
        least = least.max().expand_as(least)
    factors = torch.where(factors < 0, -1.0, 1.0) * torch.maximum(factors.abs(), least)
    axis = 1 if conv.transposed else 0
    conv.weight.mul_(factors.view([-1 if at == axis else 1 for at in range(conv.weight.ndim)]))
    if conv.bias is not None:
        conv.bias.mul_(factors)
    mean.mul_(factors)
    variance.copy_((factors.square() * (variance + batchnorm.eps) - batchnorm.eps).clamp(min=0))
    if batchnorm.weight is not None:
        batchnorm.weight.mul_(factors.sign())
    return True
