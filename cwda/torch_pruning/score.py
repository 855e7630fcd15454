"""An importance of Torch-Pruning as the score of a criterion of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from cwda.arguments import require_type
from cwda.errors import CriterionError, reason_of
from cwda.numerics.device import is_out_of_memory
from cwda.scoring.filters import Filters
from cwda.torch_pruning.library import require_torch_pruning

__all__ = ["as_score"]

#: From a group to one score per channel, or None.
Importance = Callable[..., Tensor | None]


def as_score(
    importance: Importance,
    *,
    model: nn.Module | None = None,
    example_inputs: Tensor | None = None,
) -> Callable[[Filters], Tensor]:
    """An importance of Torch-Pruning as a function from filters to scores, to be registered.

    Without a model, a convolution is scored on its own: the importance sees a group of this one
    layer, and can use its weights alone. With a model it sees what a pruner shows it: the group of
    all channels that are coupled with the layer's filters. These scores are made at once, so
    gradients, or what else the importance needs, must be there before.

    Parameters
    ----------
    importance : torch_pruning.importance.Importance
        From a group to one score per channel; larger is more important.
    model : nn.Module, optional
        The model whose groups are scored.
    example_inputs : Tensor, optional
        An input of the model, batch first, for Torch-Pruning to trace it.

    Returns
    -------
    callable
        From `Filters` to N' scores, for `cwda.criterion`.

    Raises
    ------
    CwdaError
        If Torch-Pruning is not installed.
    CriterionError
        If the importance is none, there is a model without an input, or the model cannot be traced.
        What goes wrong in a layer is the reason in its row.

    Examples
    --------
    >>> import cwda
    >>> import torch_pruning as tp
    >>> from cwda.torch_pruning import as_score
    >>> magnitude = tp.importance.GroupMagnitudeImportance(p=1)
    >>> tp_l1 = cwda.criterion("tp_l1", formula="sum_p |F_jp|")(as_score(magnitude))
    >>> net = cwda.load("resnet20-cifar10").select("layer1.0.*")
    >>> cwda.similarity(net, ["l1", tp_l1]).table["spearman"].tolist()
    [1.0, 1.0]
    """
    require_torch_pruning()
    if not callable(importance) or isinstance(importance, type):
        raise CriterionError(
            "an importance is needed, such as tp.importance.FPGMImportance(), not "
            f"{importance!r:.60}"
        )
    if model is None:
        return lambda filters: _alone(importance, filters)
    require_type(model, nn.Module, "a model", CriterionError)
    require_type(example_inputs, Tensor, "example_inputs=..., a tensor,", CriterionError)
    scores = _of_groups(importance, model, example_inputs)
    return lambda filters: _of_layer(scores, filters)


def _alone(importance: Importance, filters: Filters) -> Tensor:
    """The scores of a convolution that is coupled with nothing."""
    n, d = filters.values.shape
    with torch.random.fork_rng(devices=[]):
        conv = nn.Conv2d(d, n, 1, bias=False)
    conv.weight = nn.Parameter(filters.values[:, :, None, None])
    found = _of_group(importance, _graph(conv, filters.values.new_zeros(1, d, 1, 1)), conv)
    return _of_layer({filters.name: found}, filters)


def _of_layer(scores: Mapping[str, Tensor | str], filters: Filters) -> Tensor:
    found = scores.get(filters.name, "the model given to as_score has no such layer")
    if isinstance(found, str):
        raise CriterionError(f"no importance of {filters.name!r}: {found}")
    return found.to(filters.values)


def _of_groups(
    importance: Importance, model: nn.Module, example_inputs: Tensor | None
) -> dict[str, Tensor | str]:
    """By layer the scores of the group of its filters, or why there are none."""
    try:
        graph = _graph(model, example_inputs)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise CriterionError(
            f"Torch-Pruning cannot trace the model ({reason_of(error)})"
        ) from error
    return {
        name: _of_group(importance, graph, part)
        for name, part in model.named_modules()
        if isinstance(part, _ConvNd)
    }


def _graph(model: nn.Module, example_inputs: Tensor | None) -> Any:
    from torch_pruning import DependencyGraph

    return DependencyGraph().build_dependency(model, example_inputs=example_inputs)


def _of_group(importance: Importance, graph: Any, conv: _ConvNd) -> Tensor | str:
    try:
        prune = graph.get_pruner_of_module(conv).prune_out_channels
        group = graph.get_pruning_group(conv, prune, list(range(conv.out_channels)))
        found = importance(group)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return f"{type(error).__name__}: {reason_of(error)}"
    return "it gives None" if found is None else found.detach()
