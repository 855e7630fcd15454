"""When an order of axes that a file states is impossible, and which order speaks against it.

A header, or PyTorch's own format, is believed even where another order would tell the shapes
more shortly: kernels as wide as a word's vector, a spectrum or a time series look like
another library's. Only several layers which chain in another order, and whose kernels no
network has in the stated one, overrule it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cwda.convolutions.axes.evidence import ORDERS, Kernel
from cwda.convolutions.axes.layouts import CHANNELS_FIRST, FILTERS_FIRST, Order

__all__ = ["contradictions", "overruling", "sparse_parts"]

#: Longest side of a kernel that nothing speaks against, and of one that speaks for an order;
#: fewest channels that are not an image's.
_LONGEST, _USUAL, _FEWEST = 16, 11, 8
#: So many layers overrule what is stated.
_SEVERAL = 2

#: Sparse convolutions of planes keep their filters first and their channels last.
_SPARSE_AXES = 4

Read = tuple[int, int, tuple[int, ...]]


def overruling(kernels: Sequence[Kernel], stated: Order) -> list[Order]:
    """The orders that overrule a stated one; usually none.

    At least two kernels, and as many as fit the stated order alone, must contradict it, and
    most of them must see as many channels as another layer has filters.
    """
    return [other for other in ORDERS if other != stated and _overrules(kernels, stated, other)]


def sparse_parts(kernels: Sequence[Kernel], modules: Sequence[str]) -> list[bool]:
    """Which kernels of a file of PyTorch lie in a part of sparse convolutions, filters first.

    Such a part stands next to dense convolutions. Several of its kernels must contradict
    PyTorch's order; kernels of one position are of the part if such a one is in their module.
    """
    other = FILTERS_FIRST
    if any(len(kernel.shape) != _SPARSE_AXES for kernel in kernels):
        return [False] * len(kernels)
    against = [_contradicts(kernel, CHANNELS_FIRST, other) for kernel in kernels]
    if not _is_chain(
        [k for k, is_against in zip(kernels, against, strict=True) if is_against], kernels, other
    ):
        return [False] * len(kernels)
    inside = {module for module, is_against in zip(modules, against, strict=True) if is_against}
    return [
        is_against or (module in inside and kernel.shape[1:3] == (1, 1) and kernel.shape[3] > 1)
        for kernel, module, is_against in zip(kernels, modules, against, strict=True)
    ]


def _overrules(kernels: Sequence[Kernel], stated: Order, other: Order) -> bool:
    against = [kernel for kernel in kernels if _contradicts(kernel, stated, other)]
    if any(_contradicts(kernel, other, stated) for kernel in kernels):
        return False
    return _is_chain(against, kernels, other)


def _is_chain(against: Sequence[Kernel], kernels: Sequence[Kernel], other: Order) -> bool:
    """Whether several kernels speak against an order, and most see what a layer puts out."""
    if len(against) < _SEVERAL:
        return False
    made = {_read(kernel, other)[0] for kernel in kernels}
    chained = sum(_read(kernel, other)[1] in made for kernel in against)
    return 2 * chained >= len(against)


def contradictions(kernels: Sequence[Kernel], stated: Order) -> list[Order | None]:
    """For each kernel the order that it has instead of the stated one; None where it may fit.

    One long kernel of a series tells nothing by itself.
    """
    others = [order for order in ORDERS if order != stated]
    return [
        next((order for order in others if _contradicts(kernel, stated, order)), None)
        if len(kernel.shape) > 3
        else None
        for kernel in kernels
    ]


def _contradicts(kernel: Kernel, stated: Order, other: Order) -> bool:
    """Whether a kernel is as usual in one order and as in no network in another."""
    outputs, inputs, sides = _read(kernel, other)
    if inputs < _FEWEST or outputs == 1:
        return False
    if len(sides) == 1:
        said = _read(kernel, stated)
        return sides[0] <= _LONGEST < said[2][0] and said[1] <= _LONGEST
    if not _is_usual(sides) or max(sides) == 1 or max(sides) > _USUAL:
        return False
    said = _read(kernel, stated)
    few = said[0] == said[1] < _FEWEST <= min(said[2])  # such as 3 filters of 3 channels
    return few or not _is_usual(said[2])


def _is_usual(sides: Sequence[int]) -> bool:
    return len(set(sides)) == 1 and sides[0] <= _LONGEST


def _read(kernel: Kernel, order: Order) -> Read:
    axes = order.axes(len(kernel.shape))
    assert axes is not None
    outputs, inputs, *sides = (kernel.shape[axis] for axis in axes)
    return outputs, inputs, tuple(sides)
