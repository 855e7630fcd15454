"""Turn the kernels of a source to PyTorch's layout, in the user's order of axes or the likeliest.

Which layers are transposed or depthwise can show only once the axes are known, so it is settled
here as far as the biases and the names tell it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice

from torch import Tensor

from cwda.containers.layout import Layout
from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor
from cwda.convolutions.axes.choice import Choice, choose
from cwda.convolutions.axes.layouts import CHANNELS_FIRST, Order, arranged, parse_order
from cwda.errors import SourceError
from cwda.layers import matches

__all__ = ["Layouts", "arrange"]

#: The user's order for all layers, or one for each glob pattern of names.
Layouts = str | Mapping[str, str]

#: Libraries of sparse convolutions, whose modules keep other orders than PyTorch's.
_SPARSE = ("spconv.", "MinkowskiEngine.", "torchsparse.")
#: Different numbers of channels that are compared; a network has few.
_MAX_CHANNELS = 4_000

_DEPTHWISE = re.compile(r"depthwise|dwconv|(^|[._/,])dw(_?\d+)?([._/,]|$)", re.IGNORECASE)
_FLAX_TRANSPOSED = re.compile(r"(^|[._/,])ConvTranspose_\d+([._/,]|$)")
_TF_TRANSPOSED = re.compile(r"(^|[._/,])conv(olution)?\d?_?d?_transpose", re.IGNORECASE)

_BY_BIAS = "transposed: outputs and inputs exchanged, because only so the bias fits"
_BY_NAME = "transposed, by its name"
_EXCHANGED = "outputs and inputs exchanged, as TensorFlow stores transposed kernels"
_GROUPED = "grouped, because it and the layer before have a multiple of a filter's channels"
#: Channels that a layer may see without another layer before it.
_FEW = 5
_DEPTHWISE_NOTE = "depthwise, stored as channels and multiplier, by its name"
_DEPTHWISE_BY_COLOURS = "depthwise (groups = channels), because another layer sees the image"


def arrange(
    weights: Sequence[NamedTensor],
    names: Sequence[str],
    tensors: Sequence[NamedTensor],
    layout: Layouts | None,
    transposed: Sequence[bool],
    format: str,
) -> list[NamedTensor]:
    """The convolutions in PyTorch's layout; what was assumed is in their `assumption`.

    Parameters
    ----------
    weights : sequence of NamedTensor
        The convolutions.
    names : sequence of str
        Names of their layers, which the patterns of `layout` match.
    tensors : sequence of NamedTensor
        All tensors of the source, biases and normalisations among them.
    layout : str, mapping or None
        The user's order of axes.
    transposed : sequence of bool
        Whether the user says that a layer is transposed.
    format : str
        Format of the source.

    Raises
    ------
    SourceError
        If `layout` names no order, or one that a layer cannot have.
    """
    wanted = _wanted(names, layout)
    biases = _biases(weights, tensors)
    open_ = [i for i, t in enumerate(weights) if wanted[i] is None and not _is_known(t)]
    channels = _channels(weights, tensors)
    choices = choose([weights[i] for i in open_], [biases[i] for i in open_], channels, format)
    orders = dict(zip(open_, choices, strict=True))
    turned = []
    for i, tensor in enumerate(weights):
        order = wanted[i]
        if order is not None:
            tensor = _require(tensor.stored or tensor, order, names[i])
            tensor = _turned(tensor, Choice(order), biases[i], transposed[i])
        elif i in orders:
            tensor = _turned(tensor, orders[i], biases[i], transposed[i])
        turned.append(tensor)
    changed = [i for i, choice in orders.items() if choice.order != CHANNELS_FIRST]
    return _grouped(turned, changed, channels)


def _wanted(names: Sequence[str], layout: Layouts | None) -> list[Order | None]:
    """The user's order of each layer; None where there is none."""
    if layout is None:
        return [None] * len(names)
    if isinstance(layout, str):
        return [parse_order(layout)] * len(names)
    if not isinstance(layout, Mapping):
        raise SourceError(
            f"layout is {type(layout).__name__}; give a text such as HWIO, or a mapping of glob "
            "patterns to such texts"
        )
    orders = {pattern: parse_order(text) for pattern, text in layout.items()}
    wanted: list[Order | None] = [None] * len(names)
    for pattern, order in orders.items():
        for index, name in enumerate(names):
            if matches(name, str(pattern)):
                wanted[index] = order
    return wanted


def _require(tensor: NamedTensor, order: Order, name: str) -> NamedTensor:
    if order.axes(len(tensor.shape)) is None:
        raise SourceError(
            f"layer {name!r} of shape {tensor.shape} cannot have the layout {order.letters}; "
            "give each of its axes a letter"
        )
    return tensor


def _is_known(tensor: NamedTensor) -> bool:
    """Whether its class or its reader tells the axes."""
    certain = bool(tensor.is_conv) and tensor.transposed is not None
    turned = tensor.stored is not None
    return turned or (certain and not tensor.origin.startswith(_SPARSE))


def _biases(weights: Sequence[NamedTensor], tensors: Sequence[NamedTensor]) -> list[int | None]:
    """The size of each layer's bias; None without one."""
    sizes = {}
    for tensor in tensors:
        stem, leaf = split_leaf(tensor.path)
        if leaf in ("bias", "b", "biases"):
            largest = max(tensor.shape, default=0)
            if math.prod(tensor.shape) == largest:
                sizes[stem] = largest
    return [sizes.get(split_leaf(tensor.path)[0]) for tensor in weights]


def _channels(weights: Sequence[NamedTensor], tensors: Sequence[NamedTensor]) -> Set[int]:
    """Numbers of channels that the other tensors of the source tell."""
    own = {id(tensor) for tensor in weights}
    stated = (
        size
        for tensor in tensors
        if id(tensor) not in own and len(tensor.shape) in (1, 2)
        for size in tensor.shape
    )
    made = (tensor.shape[0] for tensor in weights if _is_known(tensor))
    return set(islice((*dict.fromkeys(made), *dict.fromkeys(stated)), _MAX_CHANNELS))


def _turned(tensor: NamedTensor, choice: Choice, bias: int | None, by_user: bool) -> NamedTensor:
    """One kernel in PyTorch's layout of its kind: plain, depthwise or transposed."""
    ndim, order = len(tensor.shape), choice.order
    axes = order.axes(ndim)
    assert axes is not None
    last = axes[:2] == (ndim - 1, ndim - 2)
    if last and _is_depthwise(tensor, bias):
        return _depthwise(_noted(tensor, choice.note))
    turned = _noted(arranged(tensor, axes), choice.note)
    if order == CHANNELS_FIRST or axes == CHANNELS_FIRST.axes(ndim):
        return _exchanged_by_bias(turned, bias)
    return _transposed(turned, bias, by_user, exchanges=last)


def _noted(tensor: NamedTensor, note: str) -> NamedTensor:
    if not note:
        return tensor
    return replace(tensor, assumption="; ".join(filter(None, (tensor.assumption, note))))


def _exchanged_by_bias(tensor: NamedTensor, bias: int | None) -> NamedTensor:
    """Take a convolution for transposed where only its bias can tell."""
    outputs, inputs = tensor.shape[:2]
    if tensor.is_conv or tensor.transposed is not None or not bias == inputs != outputs:
        return tensor
    return replace(_noted(tensor, _BY_BIAS), transposed=True)


def _transposed(
    tensor: NamedTensor, bias: int | None, by_user: bool, exchanges: bool
) -> NamedTensor:
    """A kernel that was not stored in PyTorch's order, with what tells that it is transposed.

    TensorFlow and Haiku exchange outputs and inputs of a transposed convolution, as PyTorch
    does; flax, MLX and the sparse libraries do not.
    """
    outputs, inputs = tensor.shape[:2]
    if exchanges and bias == inputs != outputs and not tensor.is_conv:
        return replace(_noted(tensor, _BY_BIAS), transposed=True)
    flax, tensorflow = (bool(p.search(tensor.path)) for p in (_FLAX_TRANSPOSED, _TF_TRANSPOSED))
    if not (by_user or tensor.transposed or (exchanges and (flax or tensorflow))):
        return tensor
    if not by_user:
        tensor = _noted(tensor, _BY_NAME)
    if not exchanges or flax or bias == outputs != inputs:
        tensor = arranged(tensor, (1, 0, *range(2, len(tensor.shape))))
    elif bias is None and outputs != inputs:
        tensor = _noted(tensor, _EXCHANGED)
    return replace(tensor, transposed=True)


def _is_depthwise(tensor: NamedTensor, bias: int | None) -> bool:
    """Whether a kernel is stored as H, W, channels, multiplier, as TensorFlow does."""
    channels, multiplier = tensor.shape[-2:]
    if split_leaf(tensor.name)[1].startswith("depthwise_"):
        return True
    named = channels > 1 and bool(_DEPTHWISE.search(tensor.path))
    return named and (multiplier == 1 if bias is None else bias == channels * multiplier)


def _depthwise(tensor: NamedTensor) -> NamedTensor:
    layout, stored = Layout(depthwise=True), tensor

    def read() -> Tensor:
        return layout.turn(stored.read())

    return replace(
        _noted(tensor, _DEPTHWISE_NOTE),
        shape=layout.shape(tensor.shape),
        read=read,
        groups=tensor.shape[-2],
        transposed=False,
    )


def _grouped(
    tensors: list[NamedTensor], changed: Sequence[int], channels: Set[int]
) -> list[NamedTensor]:
    """Groups that the chain of layers tells, for kernels in another library's order."""
    made = channels | {tensor.shape[0] for tensor in tensors}
    seen = {tensor.shape[1] for tensor in tensors}
    result = list(tensors)
    for index in changed:
        tensor = tensors[index]
        outputs, inputs = tensor.shape[:2]
        if tensor.groups is not None or tensor.transposed or outputs == 1:
            continue
        if inputs == 1 and index == 0 and 3 in seen:
            # Names in alphabetical order: the layer that sees the colours is the first.
            result[0] = replace(_noted(tensor, _DEPTHWISE_BY_COLOURS), groups=outputs)
        before = tensors[index - 1].shape if index else ()
        groups = before[0] // inputs if len(before) == len(tensor.shape) else 1
        chained = groups > 1 and before[0] == groups * inputs == outputs
        pointwise = math.prod(tensor.shape[2:]) == 1
        if chained and not pointwise and inputs >= _FEW and inputs not in made:
            result[index] = replace(_noted(tensor, _GROUPED), groups=groups)
    return result
