"""One pass over the data for all statistics of all layers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

from cwda.errors import DataError, TracingError
from cwda.loading.sources import model_of
from cwda.models.batches import Batch, Data, as_batches, count
from cwda.models.memory import Chunks
from cwda.numerics.device import resolve_device
from cwda.progress import steps
from cwda.scoring.statistics.one_pass import (
    NEEDS,
    Activations,
    BatchNorm,
    Collected,
    ImageGradients,
    LayerStatistics,
    validated_needs,
)
from cwda.scoring.statistics.recorder import BatchRecord, Recorder
from cwda.scoring.statistics.tally import ActivationSums, GradientTally, average_activations
from cwda.scoring.statistics.units import Unit, find_units
from cwda.tracing.graph import trace

__all__ = ["collect"]

_WITHOUT_DATA = frozenset({"batchnorm"})


def collect(
    model: nn.Module | str | Path,
    data: Data | None = None,
    needs: str | Iterable[str] = tuple(NEEDS),
    device: torch.device | str = "auto",
    batch_size: int = 128,
) -> Collected:
    """Statistics of every convolution of a model, in one pass over the data.

    The pass runs on a copy of the model in evaluation mode: float32 (float64 if the model is),
    without TF32 or mixed precision, which would change ranks; sums are float64. If memory
    runs out, fewer images are taken at a time, and a `RuntimeWarning` says so: a batch stays the
    same batch, whose gradient is then a sum of parts.

    Parameters
    ----------
    model : nn.Module, str or Path
        A model that `torch.fx` can trace, or a name or file that `cwda.load_model` reads.
    data : Images, ImageData, tensors or iterable of batches
        See `cwda.models.batches.as_batches`. Gradients need labels.
    needs : str or iterable of str
        Keys of `NEEDS`.
    device : torch.device or str
        Where to run; "auto" is CUDA where there is one.
    batch_size : int
        Images a batch, where `data` is not in batches already. `Gradients.l1` and ``.l2``
        depend on it by their definition; nothing else does.

    Raises
    ------
    TracingError
        If the model cannot be traced.
    DataError
        If the data are empty or do not fit the model.

    Examples
    --------
    >>> import torch
    >>> from cwda.models import cifar_resnet
    >>> from cwda.scoring import collect
    >>> images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> collect(cifar_resnet(20), images, needs="activations")
    Collected(19 layers, 8 images: activations)
    """
    wanted = validated_needs(needs)
    replica = _replica(model_of(model), resolve_device(device))
    passing = wanted - _WITHOUT_DATA
    batches = iter(as_batches(data, batch_size) if data is not None and passing else ())
    first = list(itertools.islice(batches, 1))
    graph = _graph(replica, first)
    units = find_units(graph)
    sums = _Sums()
    if data is not None and passing:
        every = itertools.chain(first, batches)
        total = count(data, batch_size)
        sums = _pass(graph, units, steps(every, "running the network", total), passing)
    layers = {
        name: _statistics(graph, conv, units.get(name), wanted, sums)
        for name, conv in replica.named_modules()
        if isinstance(conv, _ConvNd)
    }
    return Collected(layers, wanted, sums.images, sums.batches)


def _graph(replica: nn.Module, first: list[Batch]) -> fx.GraphModule:
    """The graph of a model; where its code looks at sizes, that for the first image."""
    try:
        return trace(replica)
    except TracingError:
        if not first:
            raise
        where = next(replica.parameters(), torch.empty(0))
        return trace(replica, first[0][0][:1].to(where), whole=True)


def _replica(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy to run and to change: half precision becomes float32."""
    replica = copy.deepcopy(model).to(device).eval()
    kinds = {p.dtype for p in replica.parameters() if p.is_floating_point()}
    return replica.to(torch.float64 if torch.float64 in kinds else torch.float32)


@dataclass
class _Sums:
    """What the batches seen so far add up to."""

    images: int = 0
    batches: int = 0
    activations: dict[str, list[ActivationSums]] = field(default_factory=dict)
    map_ranks: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, GradientTally] = field(default_factory=dict)
    image_gradients: dict[str, ImageGradients] = field(default_factory=dict)

    def add(self, graph: fx.GraphModule, batch: BatchRecord, images: int) -> None:
        self.images += images
        self.batches += 1
        for node, parts in batch.activations.items():
            self.activations.setdefault(node, []).extend(parts)
        for node, ranks in batch.map_ranks.items():
            self.map_ranks[node] = self.map_ranks.get(node, 0) + ranks
        for name, rows in batch.gradients.items():
            if name not in self.gradients:
                self.gradients[name] = GradientTally(graph.get_submodule(name))  # type: ignore[arg-type]
            self.gradients[name].add(rows, images)
        for name, part in batch.image_gradients.items():
            known = self.image_gradients.get(name)
            self.image_gradients[name] = part if known is None else known + part


def _pass(
    graph: fx.GraphModule,
    units: Mapping[str, Unit],
    batches: Iterable[Batch],
    needs: frozenset[str],
) -> _Sums:
    recorder, chunks, sums = Recorder(graph, units, needs), Chunks(), _Sums()
    where = next((p for p in graph.parameters()), torch.empty(0))
    # Convolutions on CUDA may use TF32 by default, and algorithms that differ from run to run.
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with exact:
        for images, labels in batches:
            x = images.to(where)
            y = None if labels is None else labels.to(where.device)
            record = chunks.run(len(x), lambda size, x=x, y=y: recorder.record(x, y, size))  # type: ignore[misc]
            sums.add(graph, record, len(x))
    if sums.images == 0:
        raise DataError("the data hold no images")
    return sums


def _statistics(
    graph: fx.GraphModule, conv: _ConvNd, unit: Unit | None, wanted: frozenset[str], sums: _Sums
) -> LayerStatistics:
    """The statistics of one layer, with a reason for each that does not exist."""
    missing = {need: _why_not(graph, need, unit, sums) for need in sorted(wanted)}
    missing = {need: reason for need, reason in missing.items() if reason}
    found: dict[str, Any] = {}
    for need in wanted - set(missing):
        assert unit is not None
        found[need] = _MAKERS[need](graph, unit, sums)
        if need in ("activations", "map_ranks") and _channels(found[need]) != conv.out_channels:
            missing[need] = "its activation has another number of channels"
            del found[need]
    return LayerStatistics(**found, missing=missing)


def _why_not(graph: fx.GraphModule, need: str, unit: Unit | None, sums: _Sums) -> str:
    """Why a layer has no statistic of a kind; empty if it has."""
    if unit is None:
        return "the forward pass does not use this convolution"
    if len(unit.calls) > 1:
        return f"the forward pass applies this convolution {len(unit.calls)} times"
    if need == "batchnorm":
        if unit.batchnorm is None:
            return "no BatchNorm takes the output of the convolution as it is"
        layer = graph.get_submodule(str(unit.batchnorm.target))
        return "" if layer.weight is not None else "its BatchNorm has no scale and shift"
    if sums.images == 0:
        return "no data: give data=..."
    if need in ("activations", "map_ranks"):
        node = unit.activation
        recorded = node is not None and node.name in getattr(sums, need)
        return "" if recorded else "no activation follows before another layer"
    return "" if unit.name in getattr(sums, need) else "the loss does not depend on it"


def _channels(statistic: Activations | Tensor) -> int:
    return len(statistic if isinstance(statistic, Tensor) else statistic.mean)


def _batchnorm(graph: fx.GraphModule, unit: Unit, _: _Sums) -> BatchNorm:
    layer = graph.get_submodule(str(unit.batchnorm and unit.batchnorm.target))
    gamma, beta = (getattr(layer, name).detach().double() for name in ("weight", "bias"))
    return BatchNorm(gamma, beta)


def _node(unit: Unit) -> str:
    assert unit.activation is not None
    return unit.activation.name


_MAKERS: Mapping[str, Callable[[fx.GraphModule, Unit, _Sums], Any]] = {
    "batchnorm": _batchnorm,
    "activations": lambda _, unit, sums: average_activations(sums.activations[_node(unit)]),
    "map_ranks": lambda _, unit, sums: sums.map_ranks[_node(unit)] / sums.images,
    "gradients": lambda _, unit, sums: sums.gradients[unit.name].average(),
    "image_gradients": lambda _, unit, sums: sums.image_gradients[unit.name].over(sums.images),
}
