"""What a criterion sees of a layer: its filters, and their geometry computed once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from cwda.errors import LayerError, WeightsError
from cwda.layers import ConvLayer, Network, Provenance, as_layer
from cwda.numerics.geometry import Geometry

__all__ = ["Filters", "Source", "as_network", "find_layer", "nearest"]

#: What the functions of this room take for a network.
Source = Network | ConvLayer | Tensor | npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Filters:
    """The filters of one layer as the rows of a matrix.

    Attributes
    ----------
    values : Tensor
        float64, N' x d, finite: row j is F_j.
    name : str
        Name of the layer.

    Examples
    --------
    >>> import torch
    >>> from cwda.pruning import Filters, l2
    >>> l2(Filters(torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)))
    tensor([5., 1.], dtype=torch.float64)
    """

    values: Tensor
    name: str = "array"

    @classmethod
    def of(cls, layer: ConvLayer, device: torch.device | str = "cpu") -> Filters:
        """The filters of a layer on a device.

        Raises
        ------
        WeightsError
            If the weights are none, complex or not finite.
        """
        if layer.n_weights == 0:
            raise WeightsError("no weights")
        if layer.weight.is_complex():
            raise WeightsError("weights are complex, not real numbers")
        values = layer.blocks(device).reshape(layer.n_filters, layer.dim)
        lowest, highest = values.aminmax()
        if not bool(torch.isfinite(lowest) & torch.isfinite(highest)):
            bad = (~values.isfinite()).sum(1)
            raise WeightsError(
                f"{int(bad.sum())} of {layer.n_weights} weights are NaN or infinite, the first "
                f"in filter {int(bad.nonzero()[0])}"
            )
        return cls(values, layer.name)

    @cached_property
    def geometry(self) -> Geometry:
        """Gram matrix, distances and geometric median of the filters."""
        return Geometry(self.values)


def as_network(source: Source) -> Network:
    """A network of whatever stands for one: a layer or an array N x k^2 x N' is one layer.

    Raises
    ------
    SourceError
        If the source is none of these, or the array has the wrong shape.
    """
    if isinstance(source, Network):
        return source
    layer = as_layer(source)
    return Network(layer.name, (layer,), Provenance(layer.name, "array"))


def find_layer(network: Network, layer: str | int) -> ConvLayer:
    """The layer of a name, or of a position counted from 0 as in ``network[...]``.

    Raises
    ------
    LayerError
        If there is none; the message names the nearest.
    """
    try:
        return network[layer]
    except IndexError:
        raise LayerError(
            f"{network.name} has {len(network)} convolutions, 0 to {len(network) - 1}; "
            f"there is no {layer}"
        ) from None
    except KeyError:
        names = [each.name for each in network]
        raise LayerError(
            f"{network.name} has no layer {str(layer)!r}{nearest(str(layer), names)}"
        ) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them.

    Examples
    --------
    >>> from cwda.pruning.filters import nearest
    >>> nearest("l3", ["l1", "gm"])
    "; did you mean 'l1'?"
    """
    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
