"""What is in memory already becomes a `Network`: no file, no name and no download."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.export import ExportedProgram

from cwda.containers.tensors import Content
from cwda.convolutions.network import network_from
from cwda.convolutions.options import Options
from cwda.errors import SourceError
from cwda.layers import ConvLayer, Network, Provenance, layer_from_array
from cwda.loading.modules.content import content_of_module
from cwda.loading.wrong_types import wrong_type
from cwda.torch_files.tree import walk

__all__ = ["InMemory", "in_memory", "require_weights"]

InMemory = (
    nn.Module
    | ExportedProgram
    | Mapping[str, Any]
    | npt.NDArray[Any]
    | Tensor
    | ConvLayer
    | Network
)


def in_memory(source: InMemory, name: str | None = None, options: Options | None = None) -> Network:
    """The network of a module, state dict or array; a network is handed back as it is.

    Parameters
    ----------
    source : Module, ExportedProgram, mapping, array, ConvLayer or Network
    name : str, optional
        Name of the network; by default "state dict" or "array", or that of the module's class.
    options : Options, optional
        What the source itself does not say.

    Raises
    ------
    SourceError
        If the source is of the wrong type or has no weights, or options are given where nothing is
        open.
    UnreadableError
        If it holds no convolution.
    """
    options = options or Options()
    kind = type(source).__name__
    if _is_settled(source, options):
        if options != Options():
            raise SourceError(
                "groups, transposed, weights_key and layout say how to read a source, and "
                f"nothing is open in an object of type {kind}; leave them out, or give an array "
                "of other axes than N x k^2 x N' with its layout"
            )
        return _settled(source, name)
    content = _content(source, name)
    own = content.format if isinstance(source, Mapping) else kind
    network = network_from(content, name or own, Provenance(kind, content.format), options)
    require_weights(network, kind)
    return network


def require_weights(layers: Iterable[ConvLayer], origin: str = "") -> None:
    """Refuse layers that have shapes only, such as those of an answer that was saved.

    Parameters
    ----------
    layers : iterable of ConvLayer
    origin : str
        Where their weights came from.

    Raises
    ------
    SourceError
        If the weights of one are not in memory.
    """
    for layer in layers:
        if layer.weight.is_meta:
            raise SourceError(
                f"layer {layer.name!r} has a shape but no weights: an answer is saved without "
                f"them; load {origin or 'its network'} again"
            )


def _is_settled(source: InMemory, options: Options) -> bool:
    """Whether nothing has to be found out: layers, or an array in the order of the paper."""
    if isinstance(source, np.ndarray | Tensor):
        return options.layout is None
    return isinstance(source, Network | ConvLayer)


def _settled(source: Any, name: str | None) -> Network:
    if isinstance(source, Network):
        require_weights(source, source.provenance.source)
        return source if name is None else replace(source, name=name)
    if isinstance(source, ConvLayer):
        require_weights([source])
        return Network(name or source.name, (source,), Provenance("ConvLayer", "array"))
    layer = layer_from_array(source, name or "array")
    require_weights([layer])
    copied = replace(layer, weight=layer.weight.detach().cpu().clone())
    return Network(name or "array", (copied,), Provenance(type(source).__name__, "array"))


def _content(source: InMemory, name: str | None) -> Content:
    """The tensors of a source, not yet read."""
    if isinstance(source, np.ndarray | Tensor):
        tensor = replace(walk({name or "array": source})[0], is_conv=True)
        return Content("array", [tensor])
    if isinstance(source, nn.Module):
        return content_of_module(source)
    if isinstance(source, ExportedProgram):
        from cwda.torch_files.exported_programs import program_in_memory

        return program_in_memory(source)
    if isinstance(source, Mapping):
        return Content("state dict", walk(source))
    raise SourceError(wrong_type(source))
