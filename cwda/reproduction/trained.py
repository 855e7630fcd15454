"""`Trained`: a network, the module that runs it, and the images it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from cwda.errors import CwdaError, DataError, SourceError
from cwda.experiment.specimen import require_fitting
from cwda.layers import Network, distinct
from cwda.loading import load_model
from cwda.loading.in_memory import in_memory
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.models.data import ImageData

__all__ = ["Trained", "trained_networks"]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, with what is there to run it.

    Attributes
    ----------
    network : Network
        Its weights.
    model : nn.Module or None
        The module, if its architecture is known.
    data : ImageData or None
        Images that fit it.
    reason : str
        Why it cannot be run on images; empty if it can.
    """

    network: Network
    model: nn.Module | None = None
    data: ImageData | None = None
    reason: str = ""

    @property
    def name(self) -> str:
        """Name of the network."""
        return self.network.name

    @property
    def title(self) -> str:
        """Its name, with the number of classes where images tell it."""
        return f"{self.name} ({self.data.num_classes} classes)" if self.data else self.name


def trained_networks(
    sources: Source | Sequence[Source], data: Sequence[ImageData]
) -> list[Trained]:
    """The networks of the sources, each with the first of the data sets that fits it.

    Raises
    ------
    SourceError
        If a source cannot be read, or there is none.
    """
    listed: list[Source] = (
        list(sources) if isinstance(sources, list | tuple) else [sources]  # type: ignore[list-item]
    )
    if not listed:
        raise SourceError("no network given; give one or more, such as 'resnet20-cifar10'")
    found = [_trained(source, data) for source in listed]
    names = distinct(each.network for each in found)
    return [replace(each, network=name) for each, name in zip(found, names, strict=True)]


def _trained(source: Source, data: Sequence[ImageData]) -> Trained:
    network = network_of(source)
    model: nn.Module
    if isinstance(source, nn.Module):
        model = source
    elif isinstance(source, str | Path):
        try:
            model = load_model(source)
        except CwdaError as error:
            reason = str(error).removeprefix(f"{source}: ")
            return Trained(network, reason=f"it has weights only: {_first(reason)}")
        own = in_memory(model)
        network = replace(own, name=network.name, provenance=network.provenance)
    else:
        return Trained(network, reason="it has weights only")
    if not data:
        return Trained(network, model, reason="no images were given")
    reasons = []
    for images in data:
        try:
            require_fitting(model, images)
        except DataError as error:
            reasons.append(_first(str(error)))
            continue
        return Trained(network, model, images)
    return Trained(network, model, reason=f"no images fit it ({'; '.join(reasons)})")


def _first(reason: str) -> str:
    return " ".join(reason.split())[:160]
