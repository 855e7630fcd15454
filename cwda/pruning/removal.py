"""Physical removal of pruned channels, proved on the outputs.

Weights are cut by the same coupling that made the plan. That the result is right is not taken
from a second analysis of the graph but from numbers: the slim network must compute what the
masked one computes, on two inputs, with the weights as they are and with others.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cwda.coupling.couple import as_coupling
from cwda.coupling.coupling import Coupling
from cwda.coupling.padding import rewrite
from cwda.coupling.places import Marks
from cwda.coupling.verification import random_like, scramble
from cwda.errors import CwdaError
from cwda.loading.sources import model_of
from cwda.numerics.exact import exact
from cwda.progress import Counter, counter, showing
from cwda.pruning.comparing import compare, worst
from cwda.pruning.cutting import cut
from cwda.pruning.masks import Masks, masked
from cwda.pruning.plan import Plan, require_plan
from cwda.tracing.copies import duplicate
from cwda.tracing.cost import Cost, Example, count, example_input, latency
from cwda.tracing.graph import fault

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOLERANCE", "Removal", "remove"]

#: Largest difference of masked and slim outputs, relative to the largest output.
TOLERANCE = 1e-5

#: Cutting, two proofs, and a look at training mode.
_STAGES = 4


@dataclass(frozen=True, eq=False)
class Removal:
    """A network without its pruned channels.

    Attributes
    ----------
    model : nn.Module
        The slim network, of the same class; where code pads channels, of a class derived from it
        that pads those left.
    original : nn.Module
        The network as it was given.
    plan : Plan
        What was removed.
    before, after : Cost
        Parameters and multiply-adds, counted on both networks.
    difference : float
        Largest difference between the masked and the slim network, in float64, on the example and
        on random input: of their outputs and of what each of their layers reads, divided by the
        largest value there.
    """

    model: nn.Module
    original: nn.Module = field(repr=False)
    plan: Plan
    before: Cost
    after: Cost
    difference: float

    def measure(self, example: Example, *, repeats: int = 30) -> pd.DataFrame:
        """Costs and measured latency, one row before removal and one after.

        Columns: ``parameters, flops, latency_ms, latency_low, latency_high, batch, device``;
        median and quartiles of `repeats` forward passes of the whole batch of `example`.
        """
        import pandas as pd

        rows = []
        for model, cost in ((self.original, self.before), (self.model, self.after)):
            time = latency(model, example, repeats=repeats)
            rows.append(
                {
                    "parameters": cost.parameters,
                    "flops": cost.flops,
                    "latency_ms": time.median,
                    "latency_low": time.low,
                    "latency_high": time.high,
                    "batch": time.batch,
                    "device": time.device,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(["before", "after"]))

    def __repr__(self) -> str:
        saved = self.before.saved(self.after)
        return (
            f"Removal({self.plan.network!r}, {self.after.parameters:,} of "
            f"{self.before.parameters:,} parameters, -{saved['flops']:.1%} of flops, outputs "
            f"within {self.difference:.1e} of the masked network's)"
        )


def remove(
    model: nn.Module | str | Path,
    plan: Plan,
    example: Example | Coupling,
    *,
    progress: bool = True,
) -> Removal:
    """Remove what a plan prunes from a copy of a model.

    Parameters
    ----------
    model : nn.Module, str or Path
        Stays as it is; a name or file is read by `cwda.load_model`.
    plan : Plan
        Made by `make_plan` for this model.
    example : Tensor, sequence of int, or Coupling
        An input of the model or its shape, or what `couple(model, example)` gave.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    Removal
        The slim network and what it costs.

    Raises
    ------
    PlanError
        If the plan does not fit the model.
    CwdaError
        If the plan empties a layer, or the slim network does not run or computes something else
        than the masked one.
    WeightsError
        If weights are NaN or infinite.

    Warns
    -----
    RuntimeWarning
        If the slim network does not run in training mode, where the model does.
    """
    model = model_of(model)
    require_plan(plan)
    with showing(progress), exact():
        coupling = as_coupling(model, example)
        with counter("removing filters", _STAGES) as done:
            slim, difference = _removed(model, plan, coupling, done)
            image = example_input(model, coupling.example)
            _look_at_training(model, slim, image)
            done.advance()
    return Removal(slim, model, plan, coupling.cost, count(slim, image), difference)


def _removed(
    model: nn.Module, plan: Plan, coupling: Coupling, done: Counter
) -> tuple[nn.Module, float]:
    """The slim network, and how far its outputs are from those of the masked one."""
    marked = coupling.channels(plan.pruned)
    _require_channels_left(coupling, marked)
    twin = masked(model, plan, coupling)
    slim = _slim(duplicate(model), coupling, marked)
    done.advance()
    image = example_input(model, coupling.example)
    difference = _proved(coupling, twin, slim, image, marked)
    done.advance()
    # Weights that are 0, such as the scales at the end of new residual branches, prove nothing.
    others = duplicate(model)
    scramble(others)
    with Masks(duplicate(others), plan, coupling) as masks:
        _proved(coupling, masks.model, _slim(others, coupling, marked), image, marked)
    done.advance()
    return slim, difference


def _look_at_training(model: nn.Module, slim: nn.Module, image: Tensor) -> None:
    """Warn if the model runs in training mode and the slim network does not."""
    images = image if len(image) > 1 else torch.cat([image, image])
    if fault(duplicate(model).train(), images):
        return
    if reason := fault(duplicate(slim).train(), images):
        warnings.warn(
            f"the slim {type(model).__name__} does not run in training mode ({reason}): what "
            "evaluation mode does not use, such as auxiliary heads, is not cut; take it out of the "
            "model before pruning, or leave the slim network in evaluation mode",
            RuntimeWarning,
            stacklevel=3,
        )


def _require_channels_left(coupling: Coupling, marked: Marks) -> None:
    for site in coupling.sites:
        for side, channels in (("outputs", site.rows), ("inputs", site.columns)):
            if channels is not None and len(channels) and marked[channels].all():
                raise CwdaError(
                    f"the plan leaves {site.layer} no {side}; plan with minimum=1 or more"
                )


def _slim(model: nn.Module, coupling: Coupling, marked: Marks) -> nn.Module:
    """The model, cut in place."""
    try:
        cut(model, coupling.sites, coupling.slots, marked)
        rewrite(model, coupling.paddings, marked)
    except (AttributeError, IndexError, RuntimeError, TypeError) as error:
        raise CwdaError(_cannot(coupling, error)) from error
    return model


def _cannot(coupling: Coupling, error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (
        f"{coupling.network} cannot run without the pruned channels ({lines[0] if lines else ''}): "
        "it uses their number in a way that is not followed; apply the plan as masks instead"
    )


def _proved(
    coupling: Coupling, masked: nn.Module, slim: nn.Module, image: Tensor, marked: Marks
) -> float:
    """The difference of a masked and a slim network, of outputs and of what each layer reads.

    Raises
    ------
    CwdaError
        If the slim network does not run, or computes something else.
    """
    try:
        part = image[: coupling.followed]
        difference = compare(masked, slim, (part, random_like(part)), coupling.reads, marked)
        if len(part) < len(image):
            difference = worst([difference, compare(masked, slim, [image], (), marked)])
    except Exception as error:  # a forward pass may raise anything
        raise CwdaError(_cannot(coupling, error)) from error
    if not difference <= TOLERANCE:
        raise CwdaError(
            f"the slim network's outputs differ from the masked network's by {difference:.1e}; "
            f"{coupling.network} draws random numbers, or uses the number of its channels in a way "
            "that is not followed; apply the plan as masks instead"
        )
    return difference
