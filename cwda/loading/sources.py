"""The network, layer or model that a source stands for, as the public functions take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, ValuesView
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
from torch import Tensor, nn

from cwda.errors import SourceError
from cwda.layers import ConvLayer, Network, distinct, layer_from_array
from cwda.loading.in_memory import in_memory, require_weights
from cwda.loading.source import Source
from cwda.models.evaluate import evaluation_mode

# Files, names and downloads are imported only where a source is one: `load` and `load_model`.

__all__ = [
    "layer_of",
    "model_and_network_of",
    "model_of",
    "network_of",
    "networks_of",
]

Model = TypeVar("Model", bound=nn.Module)


#: What holds several sources; anything else, such as a table with columns, is one.
_SEVERAL = (list, tuple, set, frozenset, Iterator, KeysView, ValuesView)


def network_of(source: Source) -> Network:
    """The network of whatever `load` takes; a network is handed back as it is.

    Raises
    ------
    SourceError
        If the source is of the wrong type, unknown, missing or cannot be read.
    """
    if isinstance(source, str | Path):
        from cwda.loading.networks import load

        return load(source)
    return in_memory(source)


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
        If the source cannot be read or has no weights, or its network has several layers.
    """
    if isinstance(source, ConvLayer | np.ndarray | Tensor):
        layer = source if isinstance(source, ConvLayer) else layer_from_array(source)
        require_weights([layer])
        return layer
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
        from cwda.loading.runnable import load_model

        return load_model(source)
    raise SourceError(
        f"a model that runs is needed, not an object of type {type(source).__name__}; give the "
        "nn.Module, or a name or file that cwda.load_model reads"
    )


def model_and_network_of(source: nn.Module | str | Path) -> tuple[nn.Module, Network]:
    """A model that runs and the network of its weights; a name or file is read only once.

    The network has the name that `load` gives it, and the weights that the model uses in evaluation
    mode: spectral norm uses others in training mode.

    Raises
    ------
    SourceError
        As in `model_of`.
    """
    if isinstance(source, str | Path):
        from cwda.loading.runnable import named_model

        model, name = named_model(source)
        return model, replace(in_memory(model), name=name)
    model = model_of(source)
    with evaluation_mode(model):
        return model, in_memory(model)
