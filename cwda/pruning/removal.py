"""Physical removal of pruned channels, through Torch-Pruning's dependency graph.

Two independent analyses must agree before a weight is cut: ours, which made the plan, and
Torch-Pruning's. Where channels pass an operation that pads the channel axis with zeros, as the
shortcuts of CIFAR ResNets do, Torch-Pruning maps indices without the offset (version 1.6.1);
there ours alone is used, with Torch-Pruning's functions for the layers.
"""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from cwda.errors import RemovalError
from cwda.pruning.cost import Cost, Example, count, example_input, latency
from cwda.pruning.coupling import Coupling, as_coupling
from cwda.pruning.graph import evaluation_mode, trace
from cwda.pruning.masks import masked
from cwda.pruning.plan import Plan
from cwda.pruning.sites import Padding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TOLERANCE", "Removal", "remove"]

#: Largest difference of masked and slim outputs, relative to the largest output.
TOLERANCE = 1e-5

Marks = npt.NDArray[np.bool_]
#: For layers and sides ("rows" are outputs, "columns" inputs) the indices to cut.
Cuts = dict[tuple[str, str], set[int]]


@dataclass(frozen=True, eq=False)
class Removal:
    """A network without its pruned channels.

    Attributes
    ----------
    model : nn.Module
        The slim network: of the same class, or a `torch.fx.GraphModule` with the same layers
        where an operation that pads channels had to be rewritten.
    original : nn.Module
        The network as it was given.
    plan : Plan
        What was removed.
    before, after : Cost
        Parameters and multiply-adds, counted on both networks.
    difference : float
        Largest difference between the outputs of the masked and the slim network on random
        input in float64, divided by the largest output.
    """

    model: nn.Module
    original: nn.Module = field(repr=False)
    plan: Plan
    before: Cost
    after: Cost
    difference: float

    def measure(self, example: Example, *, repeats: int = 30) -> pd.DataFrame:
        """Costs and measured latency, a row before and a row after.

        Columns: ``parameters, flops, latency_ms, latency_low, latency_high, batch, device``;
        median and quartiles of `repeats` forward passes of the whole batch of `example`.
        """
        import pandas as pd

        rows = []
        for model, cost in ((self.original, self.before), (self.model, self.after)):
            time = latency(model, example, repeats=repeats)
            shown = (time.median, time.low, time.high, time.batch, time.device)
            rows.append((cost.parameters, cost.flops, *shown))
        columns = ["parameters", "flops", "latency_ms", "latency_low", "latency_high"]
        columns += ["batch", "device"]
        return pd.DataFrame(rows, columns=columns, index=pd.Index(["before", "after"]))

    def __repr__(self) -> str:
        saved = self.before.saved(self.after)
        return (
            f"Removal({self.plan.network!r}, {self.after.parameters:,} of "
            f"{self.before.parameters:,} parameters, -{saved['flops']:.1%} of flops, outputs "
            f"within {self.difference:.1e} of the masked network's)"
        )


def remove(
    model: nn.Module, plan: Plan, example: Example, *, coupling: Coupling | None = None
) -> Removal:
    """Remove what a plan prunes from a copy of a model.

    Parameters
    ----------
    model : nn.Module
        Stays as it is.
    plan : Plan
        Made by `make_plan` for this model.
    example : Tensor or sequence of int
        An input of the model or its shape, batch first.
    coupling : Coupling, optional
        What `couple(model, example)` gave, to save doing it again.

    Returns
    -------
    Removal
        The slim network and what it costs.

    Raises
    ------
    PlanError
        If the plan does not fit the model.
    RemovalError
        If the extra ``prune`` is missing, the plan empties a layer, Torch-Pruning ties other
        channels than the plan, or the slim network computes something else than the masked one.
    """
    tp = _torch_pruning()
    coupling = as_coupling(model, coupling or example)
    marked = coupling.channels(plan.pruned)
    cuts = _cuts(coupling, marked)
    slim = copy.deepcopy(model)
    wanted = {name: each.requires_grad for name, each in slim.named_parameters()}
    padded = any(marked[padding.channels].any() for padding in coupling.paddings)
    if not padded:
        _compare(cuts, _torch_pruning_cuts(tp, slim, plan, example_input(model, example)))
    layers = dict(slim.named_modules())
    if any(_rewritten(padding, marked) for padding in coupling.paddings):
        slim = _with_paddings(slim, coupling, marked)
    for (layer, side), indices in cuts.items():
        _cut(tp, layers[layer], side, sorted(indices))
    for name, each in slim.named_parameters():
        each.requires_grad_(wanted[name])
    difference = _difference(masked(model, plan, coupling), slim, example_input(model, example))
    if not difference <= TOLERANCE:
        raise RemovalError(
            f"the slim network's outputs differ from the masked network's by {difference:.1e}; "
            f"{coupling.network} uses the number of its channels in a way that is not followed"
        )
    return Removal(slim, model, plan, coupling.cost, count(slim, example), difference)


def _torch_pruning() -> Any:
    try:
        return importlib.import_module("torch_pruning")
    except ImportError as error:
        raise RemovalError(
            'removing channels needs torch-pruning; pip install "cwda[prune]"'
        ) from error


def _cuts(coupling: Coupling, marked: Marks) -> Cuts:
    """What to cut by our analysis."""
    cuts: Cuts = {}
    for site in coupling.sites:
        for side, channels in (("rows", site.rows), ("columns", site.columns)):
            if channels is None or not marked[channels].any():
                continue
            if marked[channels].all():
                raise RemovalError(
                    f"the plan leaves {site.layer} no {'outputs' if side == 'rows' else 'inputs'}; "
                    "plan with minimum=1 or more"
                )
            cuts[site.layer, side] = set(np.flatnonzero(marked[channels]).tolist())
    return cuts


def _torch_pruning_cuts(tp: Any, model: nn.Module, plan: Plan, image: Tensor) -> Cuts:
    """What to cut by Torch-Pruning's dependency graph, from the filters of the plan alone."""
    for each in model.parameters():
        each.requires_grad_(True)  # its graph is that of the gradients
    with evaluation_mode(model), torch.enable_grad():
        try:
            graph = tp.DependencyGraph().build_dependency(model, image[:1], verbose=False)
        except Exception as error:  # its analysis may fail in any way
            raise RemovalError(
                f"Torch-Pruning cannot follow {type(model).__name__} ({type(error).__name__}: "
                f"{error}); apply the plan as masks instead"
            ) from error
    names = {module: name for name, module in model.named_modules()}
    cuts: Cuts = {}
    for layer, pruned in plan.pruned.items():
        if not pruned:
            continue
        root = model.get_submodule(layer)
        group = graph.get_pruning_group(root, tp.prune_conv_out_channels, sorted(pruned))
        for dependency, indices in group:
            module = dependency.target.module
            if module not in names or not any(True for _ in module.parameters(recurse=False)):
                continue  # an operation without weights
            rows = graph.is_out_channel_pruning_fn(dependency.handler)
            cuts.setdefault((names[module], "rows" if rows else "columns"), set()).update(indices)
    return cuts


def _compare(ours: Cuts, theirs: Cuts) -> None:
    for place in ours.keys() | theirs.keys():
        if ours.get(place, set()) != theirs.get(place, set()):
            layer, side = place
            kind = "outputs" if side == "rows" else "inputs"
            raise RemovalError(
                f"Torch-Pruning would cut {len(theirs.get(place, ()))} {kind} of {layer}, the plan "
                f"{len(ours.get(place, ()))} or others; apply the plan as masks instead"
            )


def _cut(tp: Any, layer: nn.Module, side: str, indices: list[int]) -> None:
    """Cut rows or columns off a layer, by Torch-Pruning's function for its kind."""
    function = tp.pruner.function.PrunerBox[tp.ops.module2type(layer)]
    function(layer, indices, to_output=side == "rows")


def _rewritten(padding: Padding, marked: Marks) -> bool:
    return _added(padding, marked) != (padding.before, padding.after)


def _added(padding: Padding, marked: Marks) -> tuple[int, int]:
    """How many of the channels that a padding adds are left."""
    kept = ~marked[padding.channels]
    return int(kept[: padding.before].sum()), int(kept[len(kept) - padding.after :].sum())


def _with_paddings(model: nn.Module, coupling: Coupling, marked: Marks) -> fx.GraphModule:
    """The graph of a model in which paddings add the channels that are left of theirs."""
    module = trace(model)
    nodes = {node.name: node for node in module.graph.nodes}
    for padding in coupling.paddings:
        node = nodes[padding.node]
        given = node.args[1] if len(node.args) > 1 else node.kwargs["pad"]
        pad = [*given]
        pad[padding.place : padding.place + 2] = _added(padding, marked)
        if len(node.args) > 1:
            node.update_arg(1, tuple(pad))
        else:
            node.update_kwarg("pad", tuple(pad))
    module.recompile()
    return module


def _difference(one: nn.Module, other: nn.Module, image: Tensor) -> float:
    """Largest difference of two networks' outputs on random input, in float64."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, *image.shape[1:])
    batch = torch.randn(shape, generator=generator, dtype=torch.float64).to(image.device)
    first, second = (_outputs(model, batch) for model in (one, other))
    if [x.shape for x in first] != [y.shape for y in second]:
        return float("inf")
    scale = max(float(x.abs().max()) for x in first)
    largest = max(float((x - y).abs().max()) for x, y in zip(first, second, strict=True))
    return largest / scale if scale else largest


def _outputs(model: nn.Module, batch: Tensor) -> list[Tensor]:
    twin = copy.deepcopy(model).double()
    with evaluation_mode(twin), torch.no_grad():
        return [leaf for leaf in pytree.tree_leaves(twin(batch)) if isinstance(leaf, Tensor)]
