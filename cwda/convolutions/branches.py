"""Parts of a network by the names and sizes of its layers: branches, scopes, repetitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

__all__ = ["Branches", "Parts", "Scopes"]

Parts = tuple[str, ...]

#: Longest branch that is compared with others, and most numbers of filters.
_MOST_SIZES = 1000
_LONGEST = 200


class Branches:
    """Branches with an input of their own: they repeat how the network begins."""

    def __init__(self, paths: Sequence[Parts], sizes: list[tuple[int, int]]) -> None:
        self._paths = paths
        self._sizes = sizes
        self._period = 0
        single = len(list(takewhile(lambda size: size[1] == 1, sizes)))
        joined = sum(outputs for outputs, _ in sizes[:single])
        # Layers side by side, joined by the first layer that mixes channels, or by none.
        side = single == len(sizes) or (single > 1 and sizes[single][1] == joined)
        self._side_by_side = single if side else 0
        #: Whether no layer mixes channels, so that there is nothing to begin a branch beside.
        self.unmixed = single == len(sizes)

    def begins(self, index: int) -> bool:
        """Whether a layer is the first of such a branch."""
        if index < self._side_by_side:
            return True
        length = self._period or index
        shortest = 2 if self._sizes[0][1] == 1 else 3  # two layers may be alike by chance
        if not shortest <= length <= _LONGEST or index + length > len(self._sizes):
            return False
        rest = self._sizes[1:length] == self._sizes[index + 1 : index + length]
        if all(inputs == 1 for _, inputs in self._sizes[:length]):
            return False  # depthwise layers, which follow one another in other ways
        if rest and self._sizes[0][0] == self._sizes[index][0]:
            self._period = length
            return True
        return False

    def mirrors(self, index: int) -> bool:
        """Whether a layer is called as the first one, but for one word of its path."""
        first, path = self._paths[0], self._paths[index]
        if len(first) != len(path):
            return False
        other = [pair for pair in zip(first, path, strict=True) if pair[0] != pair[1]]
        return len(other) == 1 and _word(other[0][0]) != _word(other[0][1])


def _word(part: str) -> str:
    return part.rstrip("0123456789")


class Scopes:
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
