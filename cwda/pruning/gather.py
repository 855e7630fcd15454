"""The network of whatever is measured, and the statistics that its criteria need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from cwda.errors import DataError
from cwda.extract import load
from cwda.layers import Network, Source, as_network
from cwda.models.batches import Data
from cwda.pruning.collect import collect
from cwda.pruning.registry import Criterion
from cwda.pruning.statistics import Collected, LayerStatistics

__all__ = ["Measurable", "gather"]

#: What can be scored: weights alone, or a module that runs on data.
Measurable = Source | nn.Module


def gather(
    source: Measurable,
    criteria: Iterable[Criterion],
    device: torch.device | str,
    data: Data | Collected | None,
    batch_size: int,
) -> tuple[Network, Mapping[str, LayerStatistics]]:
    """The network, and by layer what the criteria need: all of it in one pass over the data.

    Raises
    ------
    DataError
        If there are data but no module to run on them, or they do not fit the model.
    TracingError
        If statistics are needed and the module cannot be traced.
    """
    network = load(source) if isinstance(source, nn.Module) else as_network(source)
    if isinstance(data, Collected):
        return network, data.layers
    if not isinstance(source, nn.Module):
        if data is not None:
            raise DataError(
                "data need a model to run; give the nn.Module, not its weights alone "
                "(cwda.load_model makes one)"
            )
        return network, {}
    needs = frozenset[str]().union(*(each.needs for each in criteria))
    if not needs:
        return network, {}
    return network, collect(source, data, needs, device, batch_size).layers
