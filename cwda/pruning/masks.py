"""Pruning by masks: what a plan prunes is zeroed, and the network keeps its shape.

The filter, its bias, and the scale, shift and running mean of the BatchNorms that its channel
passes are set to zero: what follows reads zeros, exactly as if the channel were removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, overload

import torch
from torch import Tensor, nn

from cwda.coupling.couple import as_coupling
from cwda.coupling.coupling import Coupling
from cwda.coupling.places import Marks
from cwda.coupling.verification import alive, places_to_zero, random_like
from cwda.errors import PlanError
from cwda.loading.sources import model_of
from cwda.numerics.exact import exact
from cwda.pruning.finite import require_finite
from cwda.pruning.plan import Plan, require_plan
from cwda.tracing.copies import duplicate
from cwda.tracing.cost import Example, example_input
from cwda.tracing.graph import trace

__all__ = ["Masks", "masked"]

Model = TypeVar("Model", bound=nn.Module)


class Masks:
    """The zeros of a plan in the weights of a model.

    Nothing changes until `enforce` is called. In a ``with`` block the model is masked, and
    has its weights back afterwards.

    Parameters
    ----------
    model : nn.Module
        What to mask, in place.
    plan : Plan
        Made by `make_plan` for this model.
    example : Tensor, sequence of int, or Coupling
        An input of the model or its shape, or what `couple(model, example)` gave.

    Raises
    ------
    PlanError
        If the plan does not fit the model, or prunes a filter without those tied to it.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.pruning import Masks, make_plan
    >>> model = cifar_resnet(20)
    >>> plan = make_plan(model, "l1", 0.25, (1, 3, 32, 32))
    >>> with Masks(model, plan, (1, 3, 32, 32)):
    ...     int((model.conv1.weight.flatten(1) == 0).all(1).sum())
    4
    >>> int((model.conv1.weight.flatten(1) == 0).all(1).sum())
    0
    """

    def __init__(self, model: nn.Module, plan: Plan, example: Example | Coupling) -> None:
        self.model = model_of(model)
        require_plan(plan)
        coupling = as_coupling(model, example)
        marked = coupling.channels(plan.pruned)
        try:
            self._places = places_to_zero(model, coupling.slots, marked)
        except AttributeError as error:
            raise PlanError(f"the plan does not fit the model: {error}") from None
        self._before: list[Tensor] = []

    def enforce(self) -> None:
        """Zero what the plan prunes; in fine-tuning, call it after each step of the optimizer.

        Momentum, weight decay and the averages of BatchNorm move masked weights within a step;
        each forward pass then starts from zeros again.
        """
        with torch.no_grad():
            for tensor, axis, index in self._targets():
                tensor.index_fill_(axis, index, 0)

    def _targets(self) -> Iterator[tuple[Tensor, int, Tensor]]:
        """The tensors as they are now: moving a model to a device replaces its buffers."""
        for module, name, axis, index in self._places:
            tensor = getattr(module, name)
            yield tensor, axis, index.to(tensor.device)

    def __enter__(self) -> Masks:
        self._before = [
            tensor.detach().index_select(axis, index) for tensor, axis, index in self._targets()
        ]
        self.enforce()
        return self

    def __exit__(self, *_: object) -> None:
        with torch.no_grad():
            for (tensor, axis, index), values in zip(self._targets(), self._before, strict=True):
                tensor.index_copy_(axis, index, values.to(tensor.device))
        self._before = []


@overload
def masked(model: Model, plan: Plan, example: Example | Coupling) -> Model: ...
@overload
def masked(model: str | Path, plan: Plan, example: Example | Coupling) -> nn.Module: ...
def masked(model: nn.Module | str | Path, plan: Plan, example: Example | Coupling) -> nn.Module:
    """A copy of a model in which a plan is applied as masks.

    Parameters
    ----------
    model : nn.Module, str or Path
        Stays as it is; a name or file is read by `cwda.load_model`.
    plan : Plan
        Made by `make_plan` for this model.
    example : Tensor, sequence of int, or Coupling
        An input of the model or its shape, or what `couple(model, example)` gave.

    Raises
    ------
    PlanError
        If the plan does not fit the model, or prunes a filter without those tied to it.
    WeightsError
        If weights are NaN or infinite.
    """
    model = model_of(model)
    require_plan(plan)
    require_finite(model)
    coupling = as_coupling(model, example)
    with exact():
        twin = duplicate(model)
        Masks(twin, plan, coupling).enforce()
        _require_zeros(twin, coupling, coupling.channels(plan.pruned))
    return twin


def _require_zeros(model: nn.Module, coupling: Coupling, marked: Marks) -> None:
    """Check that a masked model reads zeros, on the example and on another input.

    Raises
    ------
    PlanError
        If it does not.
    """
    batch = example_input(model, coupling.example)
    graph = trace(model, batch)
    for x in (batch, random_like(batch)):
        try:
            living = alive(graph, x, coupling.reads, marked)
        except KeyError:
            raise PlanError(
                f"{type(model).__name__} computes something different from when it was coupled; "
                "call couple(model, example) anew"
            ) from None
        if living:
            layer = next(iter(living.values()))
            raise PlanError(
                f"{len(living)} pruned channels are not zero where {layer} reads them; the model "
                "has changed since it was coupled: call couple(model, example) anew"
            )
