"""How much the loss of each image grows when sets of filters are removed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from cwda.brief import brief
from cwda.errors import DataError
from cwda.models.batches import Batch
from cwda.models.memory import Chunks
from cwda.numerics.exact import exact
from cwda.scoring.removal.branches import Branches, channels_of
from cwda.scoring.removal.folding import fold
from cwda.scoring.statistics.followers import find_followers
from cwda.scoring.statistics.replica import graph_of, replica_of
from cwda.tracing.copies import channels_last

__all__ = ["Increases", "loss_increases"]

#: Most numbers in one value of the network, for all images that are taken at a time (64 MiB).
_NUMBERS_AT_A_TIME = 2**24


@dataclass(frozen=True, eq=False)
class Increases:
    """What a pass leaves.

    Attributes
    ----------
    of_layers : dict of str to Tensor
        By layer, float64, images x sets; on the CPU.
    reasons : dict of str to str
        Why a layer has none, where the network could not be divided there.
    sizes : list of int
        Number of images of each batch.
    """

    of_layers: dict[str, Tensor]
    reasons: dict[str, str]
    sizes: list[int]

    __repr__ = brief


def loss_increases(
    model: nn.Module, sets: Mapping[str, Tensor], batches: Iterable[Batch], device: torch.device
) -> Increases:
    """The loss of each image without each set of filters, less that of the whole network.

    The images run through a copy of the network once; behind each convolution, only what follows
    is computed again. In float32 (float64 if the model is), without TF32; losses in float64.

    Parameters
    ----------
    model : nn.Module
        The network; it stays as it is.
    sets : mapping of str to Tensor
        By path of the convolution, the sets of filters that are removed together: bool, sets x N'.
        Convolutions that the forward pass applies more than once, or not, are left out.
    batches : iterable of batches
        Images with labels.
    device : torch.device
        Where to compute.

    Raises
    ------
    DataError
        If there are no images or labels, or they do not fit the model.
    TracingError
        If the model cannot be traced.
    OutOfMemory
        If not even one image fits.
    """
    with exact():
        return _loss_increases(model, sets, iter(batches), device)


def _loss_increases(
    model: nn.Module, sets: Mapping[str, Tensor], batches: Iterator[Batch], device: torch.device
) -> Increases:
    first = list(itertools.islice(batches, 1))
    if not first:
        raise DataError("the data hold no images")
    graph = graph_of(replica_of(model, device), first)
    removed = {
        layer.calls[0]: (name, sets[name])
        for name, layer in find_followers(graph).items()
        if name in sets and len(layer.calls) == 1
    }
    parts: dict[str, list[Tensor]] = {}
    sizes = []
    with torch.inference_mode():
        work = _Work(graph, removed, first[0][0][:1])
        for batch in itertools.chain(first, batches):
            sizes.append(len(batch[0]))
            for layer, increases in work.of(batch).items():
                parts.setdefault(layer, []).append(increases)
    reasons = work.run.reasons
    whole = {layer: torch.cat(of) for layer, of in parts.items() if layer not in reasons}
    return Increases(whole, reasons, sizes)


class _Work:
    """A graph made ready, and how many images fit into memory at a time."""

    def __init__(
        self, graph: fx.GraphModule, removed: Mapping[fx.Node, tuple[str, Tensor]], image: Tensor
    ) -> None:
        fold(graph)
        # What convolutions of few channels are fast with, on the CPU as well.
        channels_last(graph)
        self._like = next(graph.parameters(), torch.empty(0))
        channels, largest = channels_of(graph, image.to(self._like))
        self.run = Branches(graph, removed, channels)
        self._chunks = Chunks(max(1, _NUMBERS_AT_A_TIME // largest))

    def of(self, batch: Batch) -> dict[str, Tensor]:
        """By layer, the increases of one batch."""
        images, labels = batch
        if labels is None:
            raise DataError(
                "the loss without a filter needs labels: give data as pairs (images, labels)"
            )
        x, y = images.to(self._like), labels.to(self._like.device)
        x = x if x.ndim != 4 else x.contiguous(memory_format=torch.channels_last)

        def work(size: int) -> dict[str, Tensor]:
            parts: dict[str, list[Tensor]] = {}
            for some, of_some in zip(x.split(size), y.split(size), strict=True):
                for layer, increases in self.run.increases(some, of_some).items():
                    parts.setdefault(layer, []).append(increases.cpu())
            return {layer: torch.cat(of) for layer, of in parts.items()}

        return self._chunks.run(len(x), work)
