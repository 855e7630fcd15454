"""What is to be scored: a network, and the statistics that criteria need of its layers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from cwda.errors import DataError, SourceError
from cwda.layers import Network
from cwda.loading.source import Source
from cwda.loading.sources import model_and_network_of, network_of
from cwda.models.batches import Data
from cwda.scoring.registry import Criterion
from cwda.scoring.statistics.batchnorm import BATCHNORM
from cwda.scoring.statistics.collect import collect
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = ["prepare"]


def prepare(
    source: Source,
    criteria: Iterable[Criterion],
    *,
    data: Data | Collected | None,
    batch_size: int,
    device: Device,
) -> tuple[Network, Collected]:
    """The network, and what the criteria need of its layers, all of it in one pass over the data.

    The model of a name or file is built where the criteria need more than its weights.

    Raises
    ------
    SourceError
        If the source cannot be read, or is needed as a model of unknown architecture.
    DataError
        If there are data but no module to run on them, or they do not fit the model.
    TracingError
        If statistics are needed and the module cannot be traced.
    """
    if isinstance(data, Collected):
        return network_of(source), data
    needs = frozenset[str]().union(*(criterion.needs for criterion in criteria))
    if not needs and data is None:
        return network_of(source), Collected()
    if not isinstance(source, nn.Module | str | Path):
        if data is None:  # the reason stands in the rows of these criteria
            return network_of(source), Collected()
        raise DataError(
            "data need a model to run; give the nn.Module, not its weights alone "
            "(cwda.load_model makes one)"
        )
    try:
        model, network = model_and_network_of(source)
    except SourceError:
        # gamma and beta stand in the file, whether its architecture is known or not
        if data is None and needs == {BATCHNORM.name}:
            return network_of(source), Collected()
        raise
    if not needs:
        return network, Collected()
    statistics = collect(model, needs, data=data, batch_size=batch_size, device=device)
    return network, statistics
