"""`ConvLayer` and `Network`: the one thing that all rooms hand to one another."""

from __future__ import annotations

import fnmatch
import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CwdaError, SourceError, nearest

__all__ = [
    "BatchNorm",
    "ConvLayer",
    "Network",
    "Provenance",
    "Skipped",
    "distinct",
    "layer_from_array",
    "matches",
    "paper_kernel",
    "turn",
]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """The BatchNorm behind a convolution.

    Attributes
    ----------
    gamma, beta : Tensor
        Scale and shift of each channel; float64, shape (N',).
    name : str
        Its path in the source.
    stored : torch.dtype
        In which the source has them.
    """

    gamma: Tensor
    beta: Tensor
    name: str = ""
    stored: torch.dtype = torch.float64

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """One convolution of a trained network.

    Attributes
    ----------
    name : str
        Path of the parameter without ``.weight``.
    weight : Tensor
        Weights as stored, shape (N', N / groups, *kernel) with N' filters on the first
        axis; a transposed convolution has been turned so that its output axis is first.
    groups : int
        Number of groups; each filter sees N / groups input channels.
    transposed : bool
        Whether this is a transposed convolution.
    batchnorm : BatchNorm or None
        The BatchNorm behind it, where the names, shapes and order of the source leave no doubt.
    no_batchnorm : str
        Why there is none; empty if there is.

    Notes
    -----
    N in the symbols of the paper is the number of input channels *that one filter sees*,
    k^2 the number of positions of the kernel (k for 1-D, k^3 for 3-D kernels). In a
    grouped convolution the channels of different filters are matched by their index
    within the group.

    Examples
    --------
    >>> import torch
    >>> from cwda.layers import ConvLayer
    >>> layer = ConvLayer("conv1", torch.zeros(16, 3, 3, 3))
    >>> layer.n_filters, layer.channels, layer.kernel_size, layer.dim
    (16, 3, 9, 27)
    >>> layer.array.shape, layer.matrix.shape, layer.filters.shape
    ((3, 9, 16), (27, 16), (16, 27))
    """

    name: str
    weight: Tensor
    groups: int = 1
    transposed: bool = False
    batchnorm: BatchNorm | None = None
    no_batchnorm: str = "the source says nothing of a BatchNorm"

    def __post_init__(self) -> None:
        if not isinstance(self.weight, Tensor):
            raise SourceError(
                f"layer {self.name!r}: weights are a tensor, not {type(self.weight).__name__}; "
                "cwda.load takes arrays"
            )
        if self.weight.ndim < 3:
            raise SourceError(
                f"layer {self.name!r}: a convolution's weight has 3 axes or more "
                f"(filters, channels, kernel), not shape {tuple(self.weight.shape)}"
            )

    @property
    def n_filters(self) -> int:
        """N', the number of filters (output channels)."""
        return self.weight.shape[0]

    @property
    def channels(self) -> int:
        """N, the number of input channels that each filter sees."""
        return self.weight.shape[1]

    @property
    def kernel(self) -> tuple[int, ...]:
        """Shape of the kernel, such as (3, 3)."""
        return tuple(self.weight.shape[2:])

    @property
    def kernel_size(self) -> int:
        """k^2, the number of positions of the kernel."""
        return math.prod(self.weight.shape[2:])

    @property
    def dim(self) -> int:
        """d = N k^2, the number of weights of one filter."""
        return self.channels * self.kernel_size

    @property
    def n_weights(self) -> int:
        """Number of weights, N' N k^2."""
        return self.weight.numel()

    @cached_property
    def filters(self) -> npt.NDArray[Any]:
        """The filters as rows, N' x d; float32 for bfloat16, else as stored."""
        weight = self.weight.detach().cpu()
        if weight.dtype == torch.bfloat16:  # numpy has no bfloat16; float32 holds it exactly
            weight = weight.float()
        return weight.reshape(self.n_filters, self.dim).numpy()

    @property
    def matrix(self) -> npt.NDArray[Any]:
        """The paper's F, d x N': one column per filter."""
        return self.filters.T

    @property
    def array(self) -> npt.NDArray[Any]:
        """The paper's array, N x k^2 x N'."""
        blocks = self.filters.reshape(self.n_filters, self.channels, self.kernel_size)
        return blocks.transpose(1, 2, 0)

    def blocks(self, device: torch.device | str = "cpu") -> Tensor:
        """The weights for computation: float64, contiguous, N' x N x k^2, on `device`."""
        weight = self.weight.detach().to(device=device, dtype=torch.float64)
        return weight.reshape(self.n_filters, self.channels, self.kernel_size).contiguous()

    def __repr__(self) -> str:
        kernel = "x".join(map(str, self.kernel))
        extra = f", groups={self.groups}" if self.groups != 1 else ""
        extra += ", transposed" if self.transposed else ""
        return (
            f"ConvLayer({self.name!r}, {self.n_filters} filters of "
            f"{self.channels} channels, kernel {kernel}{extra})"
        )


@dataclass(frozen=True)
class Skipped:
    """A tensor of the source that is not taken for convolution weights.

    Attributes
    ----------
    name : str
        Its path in the source.
    shape : tuple of int
        Its shape, empty where unknown.
    reason : str
        Why it was left out, in words.
    """

    name: str
    shape: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Provenance:
    """Where a network's weights come from.

    Attributes
    ----------
    source : str
        Path, URL or name of the type of the object given.
    format : str
        Such as ``torch zip``, ``safetensors``, ``onnx``, ``module``, ``array``.
    sha256 : str or None
        Digest of the file; None for objects in memory.
    """

    source: str
    format: str
    sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """The convolutions of one trained network, in the order of the source.

    Attributes
    ----------
    name : str
        Short name for tables and titles.
    layers : tuple of ConvLayer
        The convolutions.
    provenance : Provenance
        Where the weights come from.
    skipped : tuple of Skipped
        What was left out and why.
    assumptions : tuple of str
        What was assumed where the source does not say, such as groups or transposition.
    batchnorm : bool
        Whether the source holds running variances, hence BatchNorm, whose convolutions can have
        filters of any scale.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> len(net), net.n_weights
    (19, 267696)
    >>> net["layer1.0.conv1"]
    ConvLayer('layer1.0.conv1', 16 filters of 16 channels, kernel 3x3)
    >>> len(net.select("layer3.*"))
    6
    """

    name: str
    layers: tuple[ConvLayer, ...]
    provenance: Provenance
    skipped: tuple[Skipped, ...] = ()
    assumptions: tuple[str, ...] = field(default=())
    batchnorm: bool = False

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[ConvLayer]:
        return iter(self.layers)

    def __getitem__(self, key: str | int) -> ConvLayer:
        """The layer of a name, or of a position counted from 0.

        Raises
        ------
        CwdaError
            If there is none; the message names the nearest.
        """
        if isinstance(key, int):
            if not -len(self) <= key < len(self):
                raise CwdaError(
                    f"{self.name} has {len(self)} convolutions, 0 to {len(self) - 1}; "
                    f"there is no {key}"
                )
            return self.layers[key]
        for layer in self.layers:
            if layer.name == key:
                return layer
        names = [layer.name for layer in self.layers]
        raise CwdaError(f"{self.name} has no layer {str(key)!r}{nearest(str(key), names)}")

    @property
    def n_weights(self) -> int:
        """Number of convolution weights."""
        return sum(layer.n_weights for layer in self.layers)

    def select(self, pattern: str) -> Network:
        """The network with only those layers whose name matches a glob pattern.

        Several patterns may be given, separated by commas, such as ``"conv1,layer3.*"``.

        Raises
        ------
        CwdaError
            If no layer matches.
        """
        kept = tuple(layer for layer in self.layers if matches(layer.name, str(pattern)))
        if not kept:
            some = ", ".join(layer.name for layer in self.layers[:3])
            raise CwdaError(
                f"{self.name}: no layer matches {pattern!r}; its layers are called {some}"
                + (", ..." if len(self) > 3 else "")
            )
        return replace(self, layers=kept)

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {len(self)} convolutions, {self.n_weights:,} weights)"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(layer.name)}</td><td>{layer.n_filters}</td>"
            f"<td>{layer.channels}</td><td>{'&times;'.join(map(str, layer.kernel))}</td></tr>"
            for layer in self.layers
        )
        head = "<tr><th>layer</th><th>filters</th><th>channels</th><th>kernel</th></tr>"
        return f"<p>{html.escape(repr(self))}</p><table>{head}{rows}</table>"


def matches(name: str, patterns: str) -> bool:
    """Whether a layer's name matches one of several glob patterns, separated by commas.

    A name that is spelled out is not a pattern, even where it holds brackets or commas.

    Examples
    --------
    >>> matches("layer1.conv", "conv1,layer*"), matches("[mask].conv", "[mask].conv")
    (True, True)
    """
    parts = (part.strip() for part in patterns.split(","))
    return name == patterns or any(
        part and (name == part or fnmatch.fnmatchcase(name, part)) for part in parts
    )


def distinct(networks: Iterable[Network]) -> list[Network]:
    """The networks, renamed `name (2)`, ... where a name comes again: tables tell by name."""
    seen: dict[str, int] = {}
    renamed = []
    for network in networks:
        seen[network.name] = count = seen.get(network.name, 0) + 1
        name = network.name if count == 1 else f"{network.name} ({count})"
        renamed.append(replace(network, name=name))
    return renamed


def layer_from_array(array: npt.NDArray[Any] | Tensor, name: str = "array") -> ConvLayer:
    """A `ConvLayer` from the paper's array N x k^2 x N'.

    Where k^2 is a square the kernel is taken as k x k, else as one-dimensional; the
    statistics do not depend on it.

    Raises
    ------
    SourceError
        If the array does not have three axes, is empty, or holds something else than numbers.
    """
    try:
        tensor = torch.as_tensor(array)
    except (TypeError, ValueError) as error:
        raise SourceError(f"{error}; give an array of numbers") from None
    if tensor.ndim != 3 or 0 in tensor.shape:
        raise SourceError(
            f"an array of weights must be N x k^2 x N' (channels, kernel positions, filters), "
            f"not of shape {tuple(tensor.shape)}; give PyTorch's weights with their name, such as "
            "{'conv.weight': weight}, or the module"
        )
    channels, positions, n_filters = tensor.shape
    weight = tensor.permute(2, 0, 1).reshape(n_filters, channels, *paper_kernel(positions))
    return ConvLayer(name, weight)


def paper_kernel(positions: int) -> tuple[int, ...]:
    """The kernel of so many positions: a square where they make one, else one-dimensional.

    Examples
    --------
    >>> paper_kernel(9), paper_kernel(5)
    ((3, 3), (5,))
    """
    side = math.isqrt(positions)
    return (side, side) if side * side == positions else (positions,)


def turn(weight: Tensor, groups: int) -> Tensor:
    """A transposed convolution's weight (N, N'/g, *kernel) as (N', N/g, *kernel).

    Filter j of group c sees the input channels of group c.

    Examples
    --------
    >>> import torch
    >>> turn(torch.zeros(6, 4, 3, 3), groups=2).shape
    torch.Size([8, 3, 3, 3])
    """
    inputs, outputs, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, outputs, *kernel)
    return split.transpose(1, 2).reshape(groups * outputs, inputs // groups, *kernel).contiguous()
