"""The copy of a model that runs on the data, and its graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from cwda.errors import TracingError
from cwda.models.batches import Batch
from cwda.tracing.copies import effective
from cwda.tracing.graph import trace

__all__ = ["graph_of", "on_replica", "replica_of"]


def replica_of(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy to run and to change: weights as they are used, and float32 for half precision."""
    replica = effective(model).to(device)
    dtypes = {p.dtype for p in replica.parameters() if p.is_floating_point()}
    return replica.to(torch.float64 if torch.float64 in dtypes else torch.float32)


def graph_of(replica: nn.Module, first: Sequence[Batch]) -> fx.GraphModule:
    """The graph of a model; where its code looks at sizes, that for the first image."""
    try:
        return trace(replica)
    except TracingError:
        if not first:
            raise
        weight = next(replica.parameters(), torch.empty(0))
        return trace(replica, on_replica(first[0][0][:1], weight), whole=True)


def on_replica(images: Tensor, weight: Tensor) -> Tensor:
    """Images like a weight of the replica; gradients can go through them."""
    images = images.to(weight)
    return images.clone() if images.is_inference() else images
