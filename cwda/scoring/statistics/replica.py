"""The copy of a model that runs on the data, and its graph."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import fx, nn

from cwda.errors import TracingError
from cwda.models.batches import Batch
from cwda.tracing.graph import trace

__all__ = ["graph_of", "replica_of"]


def replica_of(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy to run and to change: half precision becomes float32."""
    replica = copy.deepcopy(model).to(device).eval()
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
        return trace(replica, first[0][0][:1].to(weight), whole=True)
