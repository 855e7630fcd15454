"""How well an order of axes fits the shapes of a network's kernels.

An order is judged by how short the shapes can be told under it, in bits: kernels are small and
have equal sides, channels are the outputs of another layer, filters are as many as a bias or a
normalisation has numbers. The true order tells the shapes in the fewest bits (the principle of
minimum description length).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from cwda.convolutions.axes.layouts import CHANNELS_FIRST, CHANNELS_LAST, FILTERS_FIRST, Order

__all__ = ["ORDERS", "Kernel", "Shapes", "Verdict", "decide"]

#: In all of them every number of axes has its place; ties go to the first.
ORDERS = (CHANNELS_FIRST, CHANNELS_LAST, FILTERS_FIRST)

#: Bits for one side of a kernel; sides that are not listed are rarer.
_SIDE = {1: 1.0, 2: 4, 3: 1, 4: 4, 5: 3, 6: 6, 7: 3, 8: 5, 9: 5, 11: 5, 14: 5, 16: 5}
#: Bits for a side that equals the next.
_SAME = 0.3
#: Bits for a bias that fits the outputs, the inputs (a transposed layer), neither.
_BIAS = (0.0, 2.0, 6.0)
#: Bits for so many channels in a layer that sees the input, and below which they are few.
_COLOURS, _FEW = {3: 2.0, 4: 3.0}, 8
#: Most bits that one kernel may count for, and bits from which its order is doubted.
_LIMIT, _STRANGE = 10.0, 9.0
#: Most bits for a kernel whose sides, inputs and outputs are all of a kernel's size.
_SMALL = 1.5
#: Kernels that are looked at: more of one network tell nothing new.
_ENOUGH = 2_000
#: Numbers of outputs that are tried for groups; networks have fewer different ones.
_DIFFERENT = 300


@dataclass(frozen=True)
class Kernel:
    """The stored shape of a kernel, and the size of its bias (None without)."""

    shape: tuple[int, ...]
    bias: int | None = None


@dataclass(frozen=True)
class Shapes:
    """The kernels of one number of axes, under one order.

    Attributes
    ----------
    kernels : tuple of Kernel
    order : Order
    others : set of int
        Numbers of channels that other tensors of the source have: sizes of biases,
        normalisations and linear layers, filters of layers whose order is known.
    """

    kernels: tuple[Kernel, ...]
    order: Order
    others: Set[int] = frozenset()

    def bits(self) -> list[float]:
        """The bits that each kernel takes."""
        return [
            self._bias(kernel.bias, o, i) + self._outputs(o) + self._inputs(i) + _sides(sides, i)
            for kernel, (o, i, sides) in zip(self.kernels, self._turned, strict=True)
        ]

    @cached_property
    def _turned(self) -> list[tuple[int, int, tuple[int, ...]]]:
        turned = []
        for kernel in self.kernels:
            axes = self.order.axes(len(kernel.shape))
            assert axes is not None
            o, i, *sides = (kernel.shape[axis] for axis in axes)
            turned.append((o, i, tuple(sides)))
        return turned

    @cached_property
    def _made(self) -> Set[int]:
        """Numbers of channels that some layer puts out."""
        return {o for o, _, _ in self._turned if o >= _FEW} | set(self.others)

    @cached_property
    def _colours(self) -> Counter[int]:
        """How many kernels see so few channels as an image has."""
        return Counter(i for _, i, _ in self._turned if 1 < i < _FEW)

    @cached_property
    def _parts(self) -> Set[int]:
        """Inputs that divide some layer's outputs, as those of a grouped convolution do."""
        made = list(islice(self._made, _DIFFERENT))
        inputs = {i for _, i, _ in self._turned}
        return {i for i in inputs if any(outputs % i == 0 for outputs in made)}

    def _outputs(self, o: int) -> float:
        if o in self.others:
            return 1.0
        plain = 5.0 if o < _FEW or o % _FEW else 3.0
        return plain + (3.0 if len(self.others) > 1 else 0.0)

    def _inputs(self, i: int) -> float:
        if i == 1:
            return 2.0
        if i < _FEW and self._colours[i] <= max(2, len(self.kernels) // 10):
            return _COLOURS.get(i, 5.0)
        if i in self._made:
            return 1.0
        if i in self._parts:
            return 4.0
        return 5.0 if i % _FEW == 0 else 7.0

    @staticmethod
    def _bias(bias: int | None, o: int, i: int) -> float:
        if bias is None or bias == o:
            return _BIAS[0]
        return _BIAS[1] if bias == i else _BIAS[2]


def _sides(sides: Sequence[int], inputs: int) -> float:
    """Bits for a kernel, from its last side to its first."""
    if len(sides) == 3 and sides[0] == sides[1] != sides[2] == 1:
        sides = sides[::-1]  # flat kernels lie along any axis
    # Audio is filtered by long kernels that see one channel; those of texts span a word's vector.
    most = 6.0 if inputs == 1 and sum(side != 1 for side in sides) <= 2 else math.inf
    if inputs <= 2 and len(sides) == 2 and sides[0] <= 16 < sides[1]:
        return 7.0 + _side(sides[0])  # a few words, each as long as its vector
    *before, last = sides
    bits = min(most, _side(last))
    for number, side in enumerate(reversed(before)):
        if side == last:
            bits += _SAME
        elif number == 1 and before[1] == sides[-1]:
            bits += 1.0 + _side(side)  # time differs from height and width
        else:
            bits += (3.0 if 1 in (side, last) else 6.0) + min(most, _side(side))
        last = side
    if len(sides) == 3 and sides[0] == sides[1] != sides[2] != 1:
        bits += 4.0
    return bits


def _side(side: int) -> float:
    if side in _SIDE:
        return _SIDE[side]
    return 6.0 if side < 16 else 5.0 + 2.0 * math.log2(side / 8)


@dataclass(frozen=True)
class Verdict:
    """The order of the kernels of one number of axes, and how sure it is.

    Attributes
    ----------
    order : Order
        The best order.
    behind : mapping
        By how many bits each of the other orders is behind it, with what was expected.
    misfits : tuple of Order or None
        For each kernel: another order that it fits far better.
    stated : bool
        Whether the source states the order, so that the shapes were not asked.
    """

    order: Order
    behind: Mapping[Order, float]
    misfits: tuple[Order | None, ...]
    stated: bool = False

    @property
    def margin(self) -> float:
        """Bits by which the best order wins."""
        return min(self.behind.values())


def decide(
    kernels: Sequence[Kernel],
    others: Set[int],
    expected: Mapping[Order, float],
    allowed: Sequence[Order] = ORDERS,
) -> Verdict:
    """The order that the kernels of one number of axes share.

    Parameters
    ----------
    kernels : sequence of Kernel
    others : set of int
        As in `Shapes`.
    expected : mapping
        Bits in favour of each order by what is known besides the shapes.
    allowed : sequence of Order
        Orders that may be chosen.
    """
    judged = tuple(kernels[:_ENOUGH])
    bits = {order: Shapes(judged, order, others).bits() for order in ORDERS}
    fewest = [min(of_kernel) for of_kernel in zip(*bits.values(), strict=True)]

    def score(order: Order) -> float:
        excess: Iterator[float] = (
            min(_LIMIT if max(kernel.shape) >= _FEW else _SMALL, own - best)
            for kernel, own, best in zip(judged, bits[order], fewest, strict=True)
            if sum(size != 1 for size in kernel.shape) > 1
        )
        return expected.get(order, 0.0) - sum(excess)

    scores = {order: score(order) for order in ORDERS}
    best = max(allowed, key=lambda order: scores[order])
    behind = {order: scores[best] - scores[order] for order in ORDERS if order != best}
    misfits = tuple(
        _likeliest(bits, index) if bits[best][index] - fewest[index] > _STRANGE else None
        for index in range(len(judged))
    )
    return Verdict(best, behind, misfits + (None,) * (len(kernels) - len(judged)))


def _likeliest(bits: Mapping[Order, list[float]], index: int) -> Order:
    return min(ORDERS, key=lambda order: bits[order][index])
