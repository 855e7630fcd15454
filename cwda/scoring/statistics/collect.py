"""One pass over the data for all statistics of all layers; what needs removal comes after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from cwda.arguments import as_list
from cwda.errors import CwdaError, DataError, nearest
from cwda.loading.sources import model_of
from cwda.models.batches import Batch, Data, as_batches, count, within_memory
from cwda.models.classes import compare_classes
from cwda.models.memory import Chunks
from cwda.numerics.device import Placement
from cwda.numerics.exact import exact
from cwda.progress import showing, steps
from cwda.scoring.removal.increases import loss_increases
from cwda.scoring.statistics.collected import (
    PARTS,
    Collected,
    LayerStatistics,
    Part,
    parts_of,
)
from cwda.scoring.statistics.followers import Followers, find_followers
from cwda.scoring.statistics.recorder import Record, Recorder, has_own_weight
from cwda.scoring.statistics.replica import graph_of, on_replica, replica_of
from cwda.scoring.statistics.statistic import (
    NEEDS,
    Needs,
    OfActivation,
    OfBatchNorm,
    OfConvolution,
    OfGradient,
    OfRemoval,
    Statistic,
    needed,
)
from cwda.tracing.finite import not_finite
from cwda.typing import Device

__all__ = ["collect"]


def collect(
    model: nn.Module | str | Path,
    needs: Needs | None = None,
    *,
    layers: Iterable[str] | None = None,
    data: Data | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Collected:
    """Statistics of every convolution of a model, in one pass over the data.

    What asks for the loss without each filter (`removal`) runs the rest of the network once for
    each filter and image after that: hundreds of passes, which `layers` cuts short.

    The pass runs on a copy of the model in evaluation mode: float32 (float64 if the model is),
    without TF32 or mixed precision, which would change ranks, also inside of `torch.autocast` or
    `torch.inference_mode`; sums are float64. Weights that masks, hooks of `torch.nn.utils` or
    parametrisations compute are taken as the forward pass uses them. If memory
    runs out, fewer images are taken at a time, and a `RuntimeWarning` says so: a batch stays the
    same batch, whose gradient is then a sum of parts.

    Batches are also dealt in turn to eight parts, whose sums are kept apart: `Collected.halves`
    are the statistics of two disjoint halves of the images, from the same pass.

    Parameters
    ----------
    model : nn.Module, str or Path
        A model that `torch.fx` can trace, or a name or file that `cwda.load_model` reads.
    needs : str, Statistic or iterable of these
        Names in `cwda.scoring.NEEDS`, or statistics; by default all that one pass gives.
    layers : iterable of str, optional
        Paths of the convolutions wanted; by default all.
    data : Images, ImageData, tensors or iterable of batches
        See `cwda.models.batches.as_batches`. Gradients and removal need labels.
    batch_size : int
        Images per batch, where `data` is not in batches already. `Gradients.l1` and ``.l2``
        depend on it by their definition; nothing else does.
    device : str or torch.device
        Where to run; "auto" is CUDA where there is one.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    CriterionError
        If a statistic is unknown.
    CwdaError
        If the model has no convolution of a name in `layers`.
    TracingError
        If the model cannot be traced.
    DataError
        If the data are empty or do not fit the model.
    OutOfMemory
        If not even one image fits into the memory of the device that was asked for.

    Examples
    --------
    >>> import torch
    >>> from cwda.models import cifar_resnet
    >>> from cwda.scoring import collect
    >>> images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> collect(cifar_resnet(20), "activations", data=images)
    Collected(19 layers, 8 images: activations)
    """
    names = needed(_in_one_pass() if needs is None else needs)
    statistics = [NEEDS[name] for name in sorted(names)]
    original = model_of(model)
    wanted = _wanted(original, layers)
    if isinstance(data, Iterator) and any(isinstance(each, OfRemoval) for each in statistics):
        data = [*data]  # they are looked at twice
    placement = Placement(within_memory(data, device), "the pass over the images")
    with showing(progress), exact():
        found, totals, parts = placement.run(
            lambda device: _collected(original, wanted, statistics, data, batch_size, device)
        )
    return Collected(found, names, totals.images, totals.batches, parts)


def _in_one_pass() -> list[str]:
    return [name for name, statistic in NEEDS.items() if not isinstance(statistic, OfRemoval)]


def _wanted(model: nn.Module, layers: Iterable[str] | None) -> list[str]:
    """The paths of the convolutions asked for, in the order of the model."""
    every = [name for name, part in model.named_modules() if isinstance(part, _ConvNd)]
    if layers is None:
        return every
    names = as_list(layers, "layer")
    for name in names:
        if name not in every:
            raise CwdaError(f"no convolution {name!r} in the model{nearest(name, every)}")
    return [name for name in every if name in names]


def _collected(
    model: nn.Module,
    wanted: Sequence[str],
    statistics: Sequence[Statistic[Any, Any]],
    data: Data | None,
    batch_size: int,
    device: torch.device,
) -> tuple[dict[str, LayerStatistics], _Totals, tuple[Part, ...]]:
    """The statistics by layer, all and in parts, from one pass on one device."""
    observing = [one for one in statistics if not isinstance(one, OfBatchNorm | OfRemoval)]
    removing = [one for one in statistics if isinstance(one, OfRemoval)]
    replica = replica_of(model, device)
    looking = data is not None and bool(observing or removing)
    batches = iter(as_batches(data, batch_size) if data is not None and looking else ())
    first = list(itertools.islice(batches, 1))
    graph = graph_of(replica, first)
    if data is not None and first:
        needs_labels = any(isinstance(one, OfGradient | OfConvolution) for one in observing)
        images, labels = first[0]
        batch = on_replica(images, next(graph.parameters(), images)), labels
        compare_classes(graph, data, batch, needs_labels=needs_labels or bool(removing))
    followers = find_followers(graph)
    totals, dealt = _Totals(), [_Totals() for _ in range(PARTS)]
    if data is not None and observing:
        every = itertools.chain(first, batches)
        total = count(data, batch_size)
        recorder = Recorder(graph, followers, observing)
        _pass(recorder, steps(every, "running the network", total), totals, dealt)
        totals.broken = recorder.broken
    convolutions = {
        name: conv
        for name, conv in replica.named_modules()
        if name in wanted and isinstance(conv, _ConvNd)
    }
    if data is not None and removing:
        again = steps(as_batches(data, batch_size), "removing filters", count(data, batch_size))
        _remove(model, convolutions, removing, [totals, *dealt], again, device)
    layers = {
        name: _of_layer(graph, conv, followers.get(name), statistics, totals)
        for name, conv in convolutions.items()
    }
    parts = (_part(one, layers, followers, [*observing, *removing]) for one in dealt)
    return layers, totals, parts_of(parts)


def _remove(
    model: nn.Module,
    convolutions: Mapping[str, _ConvNd],
    statistics: Iterable[OfRemoval[Any, Any]],
    sums: Sequence[_Totals],
    batches: Iterable[Batch],
    device: torch.device,
) -> None:
    """Remove the filters of each layer one by one; the totals come first, the dealt sums then."""
    each = {
        name: torch.eye(conv.out_channels, dtype=torch.bool) for name, conv in convolutions.items()
    }
    found = loss_increases(model, each, batches, device)
    totals, *dealt = sums
    if any(bool(of.isnan().all(1).any()) for of in found.of_layers.values()):
        totals.broken = totals.broken or next(iter(not_finite(model).values()), "")
    places = [(totals, dealt[b % len(dealt)]) for b in range(len(found.sizes))]
    if not totals.batches:  # no other statistic has counted them
        for size, pair in zip(found.sizes, places, strict=True):
            for one in pair:
                one.images, one.batches = one.images + size, one.batches + 1
    for statistic in statistics:
        for name, increases in found.of_layers.items():
            for part, pair in zip(increases.split(found.sizes), places, strict=True):
                for one in pair:
                    one.add(statistic.name, name, statistic.observe(part))
        totals.reasons |= {(statistic.name, name): why for name, why in found.reasons.items()}


@dataclass
class _Totals(Record):
    """What the batches seen so far add up to, and why a statistic has nothing at a place.

    `broken` says of which layer the weights are not finite, where that leaves no loss.
    """

    images: int = field(default=0, kw_only=True)
    batches: int = field(default=0, kw_only=True)
    reasons: dict[tuple[str, str], str] = field(default_factory=dict, kw_only=True)
    broken: str = field(default="", kw_only=True)

    def include(self, batch: Record, images: int) -> None:
        """Add what one batch of so many images gave."""
        self.images += images
        self.batches += 1
        for (name, place), part in batch.sums.items():
            self.add(name, place, part)
        self.channels |= batch.channels


def _pass(
    recorder: Recorder, batches: Iterable[Batch], totals: _Totals, dealt: Sequence[_Totals]
) -> None:
    """Add every batch to the totals, and to one of those to which they are dealt in turn.

    Whole batches are dealt, so that what is defined by batches keeps its definition.
    """
    chunks = Chunks()
    weight = next((p for p in recorder.module.parameters()), torch.empty(0))
    for images, labels in batches:
        x = on_replica(images, weight)
        # Gradients save the labels, which inference tensors cannot be.
        y = None if labels is None else labels.to(weight.device, copy=labels.is_inference())
        record = chunks.run(len(x), lambda size, x=x, y=y: recorder.record(x, y, size))  # type: ignore[misc]
        for sums in (dealt[totals.batches % len(dealt)], totals):
            sums.include(record, len(x))
    if totals.images == 0:
        raise DataError("the data hold no images")


def _part(
    totals: _Totals,
    layers: Mapping[str, LayerStatistics],
    followers: Mapping[str, Followers],
    statistics: Iterable[Statistic[Any, Any]],
) -> Part:
    """The sums of some batches, for the statistics that the layers have."""
    sums = {
        (name, one.name): totals.sums[one.name, one.place(followers[name])]
        for one in statistics
        for name, layer in layers.items()
        if totals.batches and one.name in layer.present
    }
    return Part(sums, totals.images, totals.batches)


def _of_layer(
    graph: fx.GraphModule,
    conv: _ConvNd,
    layer: Followers | None,
    statistics: Iterable[Statistic[Any, Any]],
    totals: _Totals,
) -> LayerStatistics:
    """The statistics of one layer, with a reason for each that does not exist."""
    present: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for statistic in statistics:
        reason = _why_not(graph, conv, statistic, layer, totals)
        if layer is None or reason:
            missing[statistic.name] = reason
            continue
        if isinstance(statistic, OfBatchNorm):
            sums = statistic.observe(_batchnorm(graph, layer))
        else:
            sums = totals.sums[statistic.name, statistic.place(layer)]
        present[statistic.name] = statistic.finish(sums, totals.images)
    return LayerStatistics(present, missing)


def _why_not(
    graph: fx.GraphModule,
    conv: _ConvNd,
    statistic: Statistic[Any, Any],
    layer: Followers | None,
    totals: _Totals,
) -> str:
    """Why a layer has no statistic; empty if it has."""
    if layer is None:
        return "the forward pass does not use this convolution"
    if len(layer.calls) > 1:
        return f"the forward pass applies this convolution {len(layer.calls)} times"
    if isinstance(statistic, OfBatchNorm):
        if layer.batchnorm is None:
            return "no BatchNorm takes the output of the convolution as it is"
        return "" if _batchnorm(graph, layer).weight is not None else statistic.absent
    if totals.images == 0:
        return "no data: give data=..."
    if isinstance(statistic, OfGradient | OfConvolution | OfRemoval) and totals.broken:
        return f"the loss is not finite: {totals.broken}"
    if isinstance(statistic, OfGradient | OfConvolution) and not has_own_weight(conv):
        return (
            "its weight is computed by a hook or class that is not known, so that there is no "
            "gradient by it; store the weight as a parameter first"
        )
    place = statistic.place(layer)
    if (statistic.name, place) not in totals.sums:
        return totals.reasons.get((statistic.name, place), statistic.absent)
    if isinstance(statistic, OfActivation) and totals.channels[place] != conv.out_channels:
        return "its activation has another number of channels"
    return ""


def _batchnorm(graph: fx.GraphModule, layer: Followers) -> _BatchNorm:
    assert layer.batchnorm is not None
    batchnorm = graph.get_submodule(str(layer.batchnorm.target))
    assert isinstance(batchnorm, _BatchNorm)
    return batchnorm
