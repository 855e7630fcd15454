"""What stands for a network, a layer or a model, as the public functions take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, ValuesView
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from torch import Tensor, nn

from cwda.errors import SourceError
from cwda.layers import ConvLayer, Network, distinct, layer_from_array
from cwda.loading.load import Source, load
from cwda.loading.load_model import load_model

Model = TypeVar("Model", bound=nn.Module)

__all__ = ["Source", "layer_of", "model_of", "network_of", "networks_of"]

#: What holds several sources; anything else, such as a table with columns, is one.
_SEVERAL = (list, tuple, set, frozenset, Iterator, KeysView, ValuesView)


def network_of(source: Source) -> Network:
    """The network of whatever `load` takes; a network is handed back as it is.

    Raises
    ------
    SourceError
        If the source is of the wrong type, unknown, missing or cannot be read.
    """
    return load(source)


def networks_of(sources: Source | Iterable[Source]) -> list[Network]:
    """The networks of one source or of several; equal names are told apart by a number.

    Raises
    ------
    SourceError
        If there is none, or one cannot be read.
    """
    if not isinstance(sources, _SEVERAL):
        return [network_of(sources)]  # type: ignore[arg-type]
    networks = [network_of(source) for source in sources]
    if not networks:
        raise SourceError("no network given; give one or more, such as cwda.load('model.pth')")
    return distinct(networks)


def layer_of(source: Source) -> ConvLayer:
    """One layer: given as such, as an array N x k^2 x N', or the only one of a network.

    Raises
    ------
    SourceError
        If the source cannot be read, or its network has several layers.
    """
    if isinstance(source, ConvLayer):
        return source
    if isinstance(source, np.ndarray | Tensor):
        try:
            return layer_from_array(source)
        except (ValueError, TypeError) as error:
            raise SourceError(str(error)) from None
    network = network_of(source)
    if len(network) != 1:
        first = f", such as net[{network.layers[0].name!r}]" if len(network) else ""
        raise SourceError(
            f"one layer is needed, and {network.name} has {len(network)}; "
            f"choose one of net = cwda.load(...){first}"
        )
    return network.layers[0]


@overload
def model_of(source: Model) -> Model: ...
@overload
def model_of(source: str | Path) -> nn.Module: ...
def model_of(source: nn.Module | str | Path) -> nn.Module:
    """A model that runs: a module as it is, or that of a name or file.

    Raises
    ------
    SourceError
        If the source has weights only, or its architecture is not known.
    """
    if isinstance(source, nn.Module):
        return source
    if isinstance(source, str | Path):
        return load_model(source)
    raise SourceError(
        f"a model that runs is needed, not an object of type {type(source).__name__}; give the "
        "nn.Module, or a name or file that cwda.load_model reads"
    )
