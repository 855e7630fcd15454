"""Which filters must be pruned together, found in the graph of the model.

Everything is decided by the operations of the graph, never by names.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from cwda.coupling.coupling import Coupling
from cwda.coupling.numbering import numbered
from cwda.coupling.places import Site
from cwda.coupling.propagation import Propagation
from cwda.coupling.verification import require_same_outputs, survivors
from cwda.errors import TracingError
from cwda.loading.sources import model_of
from cwda.numerics.exact import exact
from cwda.progress import showing
from cwda.tracing.copies import duplicate
from cwda.tracing.cost import Example, count, example_input, one_image
from cwda.tracing.finite import make_finite
from cwda.tracing.graph import evaluation_mode, reproducible, trace

__all__ = ["as_coupling", "couple"]


def couple(model: nn.Module | str | Path, example: Example, *, progress: bool = True) -> Coupling:
    """Find the filters of a model that must be pruned together.

    What the rules find is tried: channels are masked, and those that some layer does not read
    as exact zeros are fixed.

    Parameters
    ----------
    model : nn.Module, str or Path
        The network, or a name or file that `cwda.load_model` reads. A copy of it runs a few
        times in evaluation mode; it stays as it is.
    example : Tensor or sequence of int
        An input or its shape, batch first; only sizes matter. One image is followed, or the whole
        batch where the network does something else with it.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    Coupling
        Channels behind an operation that is not known are fixed, with the reason.

    Raises
    ------
    TracingError
        If the graph cannot be traced, or the model does not take the example.
    """
    model = model_of(model)
    with showing(progress), exact():
        return _coupling(model, example)


def _coupling(model: nn.Module, example: Example) -> Coupling:
    batch = example_input(model, example)
    twin = duplicate(model)
    make_finite(twin)  # NaN would pass for channels that masks do not make zero
    image, graph = _followed(twin, batch)
    require_same_outputs(twin, graph, image)
    alone = one_image(twin, batch)
    cost = count(twin, alone)
    run = _propagated(graph, twin, image)
    places = numbered(run, twin, len(image) // len(alone))
    fixed = dict(places.fixed)
    alive = survivors(twin, graph, image, places.slots, places.reads, [*fixed], places.n_channels)
    for channel, layer in alive.items():
        fixed[channel] = f"masked, it is not zero where {layer} reads it"
    return Coupling(
        network=type(model).__name__,
        sites=places.sites,
        n_channels=places.n_channels,
        fixed=fixed,
        paddings=places.paddings,
        cost=cost,
        slots=places.slots,
        reads=places.reads,
        unfollowed=_unfollowed(model, places.sites, run),
        shapes={name: tuple(tensor.shape) for name, tensor in model.named_parameters()},
        example=batch,
        followed=len(image),
    )


def _propagated(graph: fx.GraphModule, model: nn.Module, image: Tensor) -> Propagation:
    """The channels of a model, followed through its graph."""
    run = Propagation(graph, model)
    with evaluation_mode(model), reproducible(), torch.no_grad():
        try:
            run.follow(image)
        except Exception as error:  # an operation may refuse what the rules make of it
            reason = str(error).strip().partition("\n")[0]
            if not reason or reason.startswith("While executing"):  # said by torch.fx, not why
                reason = "its forward pass changes a buffer or an attribute that it also reads"
            raise TracingError(
                f"the channels of {type(model).__name__} cannot be followed ({reason})"
            ) from error
    return run


def _followed(model: nn.Module, batch: Tensor) -> tuple[Tensor, fx.GraphModule]:
    """What to follow, and the graph: one image where it shows what becomes of a batch."""
    image = one_image(model, batch)
    graph = trace(model, image)
    if len(image) < len(batch):
        of_all = trace(model, batch)
        if _nodes(graph) != _nodes(of_all):
            return batch, of_all
    return image, graph


def _nodes(module: fx.GraphModule) -> list[tuple[str, str, str]]:
    return [(node.op, str(node.target), node.name) for node in module.graph.nodes]


def _unfollowed(model: nn.Module, sites: Iterable[Site], run: Propagation) -> dict[str, str]:
    """The convolutions that are not followed, and why."""
    followed = {site.layer for site in sites}
    used = {name.rpartition(".")[0] for name, _ in run.layers.held}
    unused = "the forward pass in evaluation mode does not use it"
    elsewhere = "its weights are used outside of its own forward pass"
    return {
        name: run.refused.get(name, elsewhere if name in used else unused)
        for name, module in model.named_modules()
        if isinstance(module, _ConvNd) and name not in followed
    }


def as_coupling(model: nn.Module, example: Example | Coupling) -> Coupling:
    """The coupling given, or that of a model found with an example."""
    return example if isinstance(example, Coupling) else couple(model, example)
