"""Whether a weight of shape (C, 1, k, k) is depthwise or sees an input of one channel.

Both look the same in a state dict. A depthwise convolution follows a layer of as many
filters; the first layer of a network, or of a branch with an input of its own, does not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import takewhile

from cwda.extract.tensors import NamedTensor

__all__ = ["DEPTHWISE", "ONE_CHANNEL", "depthwise"]

Parts = tuple[str, ...]

DEPTHWISE = "depthwise (groups = channels), because a filter sees one channel and {}"
ONE_CHANNEL = "groups = 1: a filter sees one channel, but {}"
_NAMED = re.compile(r"(.*[_\W\d])?(dw|dwise|dw_?conv)([_\W\d].*)?|.*depth_?wise.*", re.IGNORECASE)
#: Channels of colour images, some with depth or as pairs.
_COLOURS = (2, 3, 4, 6)
#: So many parts with one such layer each are blocks, not branches.
_BLOCKS = 3
#: Longest branch that is compared with others, and most numbers of filters.
_MOST_SIZES = 1000
_LONGEST = 200


def depthwise(chosen: list[NamedTensor]) -> list[tuple[bool, str]]:
    """For each tensor whether it is taken for depthwise, and in words why.

    The words are empty where there is no question.
    """
    evidence = _Evidence(chosen)
    return [evidence.judge(index) for index in range(len(chosen))]


class _Evidence:
    """What all layers together tell about those that see one channel."""

    def __init__(self, chosen: list[NamedTensor]) -> None:
        self._chosen = chosen
        self._paths = [(*tensor.container, *tensor.name.split("."))[:-1] for tensor in chosen]
        self._sizes = [(_outputs(tensor), tensor.shape[1]) for tensor in chosen]
        self._sorted = self._paths == sorted(self._paths)
        #: Whether some layer sees a colour image, so that one channel is no image.
        self._colour = any(n in _COLOURS and filters >= 8 for filters, n in self._sizes)
        spread = [t.shape[0] for t in chosen if t.shape[1] == 1 and math.prod(t.shape[2:]) > 1]
        self._spread = set(spread)
        self._scopes = _Scopes(self._paths, self._sizes)
        self._branches = _Branches(self._sizes)

    def judge(self, index: int) -> tuple[bool, str]:
        """Whether a layer is taken for depthwise, and why."""
        tensor, path = self._chosen[index], self._paths[index]
        if tensor.groups is not None or tensor.shape[1] != 1 or tensor.shape[0] == 1:
            return False, ""
        if any(map(_NAMED.fullmatch, path)):
            return True, DEPTHWISE.format("its name says so")
        against = self._in_colour(index) if self._colour else self._in_grey(index)
        if against is None:
            return True, DEPTHWISE.format("it does not begin the network or a branch")
        return False, ONE_CHANNEL.format(against) if against else ""

    def _in_colour(self, index: int) -> str | None:
        """What speaks against depthwise where the network sees colours; None if nothing does."""
        path, filters = self._paths[index], self._sizes[index][0]
        before = self._sizes[index - 1][0]
        if math.prod(self._chosen[index].shape[2:]) == 1 and filters not in self._spread:
            return "its kernel has one position"
        lone = self._scopes.is_lone(path)
        if index == 0:  # in a sorted file the first layer may be any
            return "" if lone or not self._sorted else None
        if before == 1:
            return "the layer before it has one filter"
        if self._sizes[0][1] != 1 and self._branches.begins(index):
            return "it begins a branch as the first layer does"
        blocks = self._scopes.lone_scopes >= _BLOCKS
        if lone and self._scopes.begins(index) and filters % before and not blocks:
            return "it begins a part of the network after a layer of other size"
        return None

    def _in_grey(self, index: int) -> str | None:
        """The same where no layer sees colours, so that the input may have one channel."""
        filters, before = self._sizes[index][0], self._sizes[index - 1][0]
        if index == 0:
            return ""
        if math.prod(self._chosen[index].shape[2:]) == 1 and filters not in self._spread:
            return "its kernel has one position"
        if self._branches.begins(index):
            return "it begins a branch as the first layer does"
        if self._scopes.begins(index):
            follows = before == filters
        else:
            follows = before > 1 and self._scopes.divided(index)
        return None if follows else "no layer before it has as many filters"


def _outputs(tensor: NamedTensor) -> int:
    return tensor.shape[1 if tensor.transposed else 0] * (
        tensor.groups if tensor.groups and tensor.transposed else 1
    )


class _Branches:
    """Branches with an input of their own: they repeat how the network begins."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self._sizes = sizes
        self._period = 0
        single = len(list(takewhile(lambda size: size[1] == 1, sizes)))
        joined = sum(outputs for outputs, _ in sizes[:single])
        # Layers side by side, joined by the first layer that mixes channels, or by none.
        side = single == len(sizes) or (single > 1 and sizes[single][1] == joined)
        self._side_by_side = single if side else 0

    def begins(self, index: int) -> bool:
        """Whether a layer is the first of such a branch."""
        if index < self._side_by_side:
            return True
        length = self._period or index
        shortest = 2 if self._sizes[0][1] == 1 else 3  # two layers may be alike by chance
        if not shortest <= length <= _LONGEST or index + length > len(self._sizes):
            return False
        rest = self._sizes[1:length] == self._sizes[index + 1 : index + length]
        if rest and self._sizes[0][0] == self._sizes[index][0]:
            self._period = length
            return True
        return False


class _Scopes:
    """The parts of the network that layers belong to, by the first part of their names."""

    def __init__(self, paths: list[Parts], sizes: list[tuple[int, int]]) -> None:
        depth = _shared(paths) + 1
        #: The part of each layer; none for a layer that stands alone at the top.
        self._scope = [path[:depth] if len(path) > depth else () for path in paths]
        self._depth = depth
        self._first: dict[Parts, int] = {}
        one: dict[Parts, int] = {}
        for index, (scope, size) in enumerate(zip(self._scope, sizes, strict=True)):
            self._first.setdefault(scope, index)
            one[scope] = one.get(scope, 0) + (size[1] == 1)
        total = Counter(self._scope)
        self._lone = {scope for scope, n in one.items() if scope and n == 1 < total[scope]}
        self._divided = _follows_a_divisor(sizes)

    @property
    def lone_scopes(self) -> int:
        """Number of parts with one layer that sees one channel and others that do not."""
        return len(self._lone)

    def is_lone(self, path: Parts) -> bool:
        """Whether a layer is the only one in its part that sees one channel."""
        return len(path) > self._depth and path[: self._depth] in self._lone

    def begins(self, index: int) -> bool:
        """Whether it is the first layer of a part of the network."""
        scope = self._scope[index]
        return bool(scope) and self._first[scope] == index

    def divided(self, index: int) -> bool:
        """Whether a layer before has as many filters, or a part of them."""
        return self._divided[index]


def _follows_a_divisor(sizes: list[tuple[int, int]]) -> list[bool]:
    """For each layer whether the filters of one before divide its own."""
    before: set[int] = set()
    result = []
    for outputs, _ in sizes:
        result.append(outputs in before or any(outputs % other == 0 for other in before))
        if outputs > 1 and len(before) < _MOST_SIZES:
            before.add(outputs)
    return result


def _shared(paths: list[Parts]) -> int:
    """How many leading parts all paths share, the layer's own name excepted."""
    shared = 0
    for parts in zip(*(path[:-1] for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return shared
