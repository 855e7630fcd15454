"""Names that say what a tensor is by the habits of one library, turned into the usual ones.

Paddle's static programs write ``conv2d_0.w_0`` and ``conv2d_0.b_0``; plain lists of arrays, as
Theano and Lasagne users pickle them, have positions in place of names.
"""

from __future__ import annotations

import re
from dataclasses import replace

from cwda.containers.names import LEAF
from cwda.containers.tensors import NamedTensor

__all__ = ["usual_names"]


def usual_names(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """The tensors with ``weight`` and ``bias`` at the end of names that mean them.

    Tensors of which the source tells whether they are convolutions keep their names.
    """
    return _by_position([_of_paddle(tensor) for tensor in tensors])


_PADDLE = re.compile(r"(.*\w)\.(w|b)_\d+")
_PADDLE_OPTIMIZER = re.compile(r".*\.(w|b)_\d+_(\w*(velocity|moment|beta|mean_|square|acc)\w*)")


def _of_paddle(tensor: NamedTensor) -> NamedTensor:
    if tensor.is_conv is not None or tensor.reason:
        return tensor
    if _PADDLE_OPTIMIZER.fullmatch(tensor.name):
        return replace(tensor, reason="optimizer state")
    match = _PADDLE.fullmatch(tensor.name)
    if match is None:
        return tensor
    stem, kind = match.groups()
    if kind == "b":
        return replace(tensor, name=f"{stem}.bias")
    transposed = "conv" in stem and "transpose" in stem
    return replace(
        tensor, name=f"{stem}.weight", transposed=True if transposed else tensor.transposed
    )


#: A key that is only a position: ``3``, ``param_3``, ``arr_3``.
_POSITION = re.compile(r"((arr|array|param|params|parameter|p|var|variable|tensor)_?)?\d+")
#: Longest side of a kernel; images in a list of arrays are larger.
_MAX_SIDE = 15
#: Most different numbers of filters; more would take long to compare.
_MAX_SIZES = 1_000
_NOTE = "named by its position in a list of arrays, which follow one another as layers do"


def _by_position(tensors: list[NamedTensor]) -> list[NamedTensor]:
    """Name kernels and biases in lists of arrays, if all kernels there chain.

    A kernel chains if the 1-D array after it has one element for each of its filters, or if
    it has as many channels as an earlier kernel has filters, or a divisor of that (groups).
    Next to kernels with names, only containers of one kernel count, which their keys name.
    """
    kernels = [n for n, t in enumerate(tensors) if len(t.shape) > 2 and _is_placed(t)]
    lone = _lone_containers([tensors[n] for n in kernels], tensors)
    if any(_is_named(tensor) for tensor in tensors):
        kernels = [n for n in kernels if tensors[n].container in lone]
    biases = {n: _bias_after(tensors, n) for n in kernels}
    if not kernels or not _chain([tensors[n] for n in kernels], [biases[n] for n in kernels]):
        return tensors
    renamed = list(tensors)
    for n in kernels:
        stem = _stem(tensors[n], lone)
        renamed[n] = replace(tensors[n], name=f"{stem}weight", is_conv=None, assumption=_NOTE)
        if (bias := biases[n]) is not None:
            renamed[n + 1] = replace(bias, name=f"{stem}bias")
    return renamed


def _is_named(tensor: NamedTensor) -> bool:
    usable = tensor.is_conv is not False and not tensor.reason and len(tensor.shape) > 2
    return usable and LEAF.fullmatch(tensor.name.rpartition(".")[2]) is not None


def _is_placed(tensor: NamedTensor) -> bool:
    settled = tensor.is_conv is False or tensor.reason or tensor.transposed is not None
    kinds = tensor.dtype is not None and tensor.dtype.is_floating_point
    return not settled and kinds and _POSITION.fullmatch(tensor.name.rpartition(".")[2]) is not None


def _bias_after(tensors: list[NamedTensor], place: int) -> NamedTensor | None:
    """The next tensor, if it has one element for each filter on some axis of the kernel."""
    kernel = tensors[place]
    if place + 1 >= len(tensors):
        return None
    after = tensors[place + 1]
    adjacent = after.container == kernel.container and _is_placed(after) and len(after.shape) == 1
    ends = (kernel.shape[0], kernel.shape[1], kernel.shape[-1])
    return after if adjacent and after.shape[0] in ends else None


def _chain(kernels: list[NamedTensor], biases: list[NamedTensor | None]) -> bool:
    """Whether each kernel fits what comes before it, as O, I, k, k or as k, k, I, O."""
    outputs: set[int] = set()
    for kernel, bias in zip(kernels, biases, strict=True):
        ends = _ends(kernel.shape, bias is not None)
        follows = any(_follows(channels, filters, outputs) for filters, channels in ends)
        if not ends or (bias is None and outputs and not follows):
            return False
        outputs |= {filters for filters, _ in ends}
        if len(outputs) > _MAX_SIZES:
            return False
    return len(kernels) > 1 or biases[0] is not None


def _ends(shape: tuple[int, ...], has_bias: bool) -> list[tuple[int, int]]:
    """Filters and channels of a kernel in the orders that its shape allows."""
    if len(shape) > 5 or 0 in shape:
        return []
    ends = [(shape[0], shape[1])] if max(shape[2:]) <= _MAX_SIDE else []
    # Three axes say little: sequences of vectors would look like kernels.
    if max(shape[:-2]) <= _MAX_SIDE and (len(shape) > 3 or has_bias):
        ends.append((shape[-1], shape[-2]))
    return ends


def _follows(channels: int, filters: int, outputs: set[int]) -> bool:
    if channels == 1:
        return filters in outputs  # depthwise
    return any(out % channels == 0 for out in outputs)


def _lone_containers(
    kernels: list[NamedTensor], tensors: list[NamedTensor]
) -> set[tuple[str, ...]]:
    """Containers of one kernel each, whose own key names the layer."""
    counts: dict[tuple[str, ...], int] = {}
    for kernel in kernels:
        counts[kernel.container] = counts.get(kernel.container, 0) + 1
    several = len({tensor.container for tensor in tensors if len(tensor.shape) > 2}) > 1
    return {key for key, count in counts.items() if several and count == 1 and key}


def _stem(kernel: NamedTensor, lone: set[tuple[str, ...]]) -> str:
    return "" if kernel.container in lone else f"{kernel.name}."
