"""How much the loss of each image grows when sets of filters are removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from cwda.brief import brief
from cwda.errors import DataError
from cwda.models.batches import Batch
from cwda.models.memory import Chunks
from cwda.scoring.removal.branches import Branches, channels_of
from cwda.scoring.removal.folding import fold

__all__ = ["Increases", "loss_increases"]

#: Most numbers in one value of the network, for all images that are taken at a time (64 MiB).
_NUMBERS_AT_A_TIME = 2**24


@dataclass(frozen=True, eq=False)
class Increases:
    """What a pass leaves.

    Attributes
    ----------
    of_layers : dict of str to Tensor
        By layer, float64, images x sets.
    reasons : dict of str to str
        Why a layer has none.
    images, batches : int
        How much data was seen.
    """

    of_layers: dict[str, Tensor]
    reasons: dict[str, str]
    images: int
    batches: int

    __repr__ = brief


def loss_increases(
    graph: fx.GraphModule,
    removed: Mapping[fx.Node, tuple[str, Tensor]],
    batches: Iterable[Batch],
) -> Increases:
    """The loss of each image without each set of filters, less that of the whole network.

    The images run through the network once; behind each convolution, only what follows is computed
    again. In float32 (float64 if the model is), without TF32; losses in float64.

    Parameters
    ----------
    graph : fx.GraphModule
        A model in evaluation mode, which belongs to this function: BatchNorms are folded.
    removed : mapping of fx.Node to (str, Tensor)
        The convolutions: path, and sets of filters, bool, sets x N'.
    batches : iterable of batches
        Images with labels.

    Raises
    ------
    DataError
        If there are no images or labels, or they do not fit the model.
    OutOfMemory
        If not even one image fits.
    """
    fold(graph)
    graph.to(memory_format=torch.channels_last)
    like = next(graph.parameters(), torch.empty(0))
    run: Branches | None = None
    chunks, n_images, n_batches = Chunks(), 0, 0
    parts: dict[str, list[Tensor]] = {}
    exact = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    with exact, torch.inference_mode():
        for images, labels in batches:
            if labels is None:
                raise DataError(
                    "the loss without a filter needs labels: give data as pairs (images, labels)"
                )
            x, y = images.to(like), labels.to(like.device)
            if x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            if run is None:
                channels, largest = channels_of(graph, x[:1])
                run = Branches(graph, removed, channels)
                chunks.size = max(1, _NUMBERS_AT_A_TIME // largest)
            found = chunks.run(len(x), lambda size, run=run, x=x, y=y: _of(run, x, y, size))  # type: ignore[misc]
            for layer, increases in found.items():
                parts.setdefault(layer, []).append(increases)
            n_images, n_batches = n_images + len(x), n_batches + 1
    if run is None:
        raise DataError("the data hold no images")
    return Increases(
        {layer: torch.cat(of) for layer, of in parts.items() if layer not in run.reasons},
        run.reasons,
        images=n_images,
        batches=n_batches,
    )


def _of(run: Branches, images: Tensor, labels: Tensor, size: int) -> dict[str, Tensor]:
    """The increases of one batch, so many images at a time, on the CPU."""
    parts: dict[str, list[Tensor]] = {}
    for x, y in zip(images.split(size), labels.split(size), strict=True):
        for layer, increases in run.increases(x, y).items():
            parts.setdefault(layer, []).append(increases.cpu())
    return {layer: torch.cat(of) for layer, of in parts.items()}
