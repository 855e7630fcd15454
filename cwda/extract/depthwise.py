"""Whether a weight of shape (C, 1, k, k) is depthwise or sees an input of one channel.

Both look the same in a state dict. A depthwise convolution follows a layer of as many
filters; the first layer of a network, or of a branch with an input of its own, does not.
"""

from __future__ import annotations

import math
import re
from itertools import takewhile

from cwda.extract.tensors import NamedTensor

__all__ = ["DEPTHWISE", "ONE_CHANNEL", "depthwise"]

Parts = tuple[str, ...]

DEPTHWISE = "depthwise (groups = channels), because a filter sees one channel and {}"
ONE_CHANNEL = "groups = 1: a filter sees one channel, but {}"
_NAMED = re.compile(r"(.*[_\W\d])?(dw|dwise|dw_?conv)([_\W\d].*)?|.*depth_?wise.*", re.IGNORECASE)
#: Longest branch that is compared with others.
_LONGEST = 200


def depthwise(chosen: list[NamedTensor]) -> list[tuple[bool, str]]:
    """For each tensor whether it is taken for depthwise, and in words why.

    The words are empty where there is no question.
    """
    paths = [(*tensor.container, *tensor.name.split("."))[:-1] for tensor in chosen]
    sizes = [(_outputs(tensor), tensor.shape[1]) for tensor in chosen]
    scopes = _Scopes(paths)
    branches = _Branches(sizes)
    result: list[tuple[bool, str]] = []
    for index, (tensor, path) in enumerate(zip(chosen, paths, strict=True)):
        if tensor.groups is not None or tensor.shape[1] != 1 or tensor.shape[0] == 1:
            result.append((False, ""))
        elif any(map(_NAMED.fullmatch, path)):
            result.append((True, DEPTHWISE.format("its name says so")))
        elif index == 0:
            result.append((False, ""))
        elif problem := _against(index, tensor, path, sizes, scopes, branches):
            result.append((False, ONE_CHANNEL.format(problem)))
        else:
            result.append((True, DEPTHWISE.format("it follows a layer of as many filters")))
        scopes.add(path, sizes[index][0])
    return result


def _against(
    index: int,
    tensor: NamedTensor,
    path: Parts,
    sizes: list[tuple[int, int]],
    scopes: _Scopes,
    branches: _Branches,
) -> str:
    """What speaks against depthwise; empty if nothing does."""
    if math.prod(tensor.shape[2:]) == 1:
        return "its kernel has one position"
    if branches.begins(index):
        return "it begins a branch as the first layer does"
    filters, before = sizes[index][0], sizes[index - 1][0]
    if scopes.begins(path):
        follows = before == filters
    else:
        follows = before > 1 and (filters % before == 0 or scopes.has(path, filters))
    return "" if follows else "no layer before it has as many filters"


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
    """Numbers of filters so far, by the part of the network that a layer belongs to."""

    def __init__(self, paths: list[Parts]) -> None:
        self._depth = _shared(paths) + 1
        self._outputs: dict[Parts, set[int]] = {}

    def _scope(self, path: Parts) -> Parts:
        """The part of the network; none for a layer that stands alone at the top."""
        return path[: self._depth] if len(path) > self._depth else ()

    def add(self, path: Parts, outputs: int) -> None:
        self._outputs.setdefault((), set()).add(outputs)
        if scope := self._scope(path):
            self._outputs.setdefault(scope, set()).add(outputs)

    def begins(self, path: Parts) -> bool:
        """Whether it is the first layer of a part of the network."""
        scope = self._scope(path)
        return bool(scope) and scope not in self._outputs

    def has(self, path: Parts, filters: int) -> bool:
        """Whether a layer before, in the same part, has so many filters."""
        return filters in self._outputs.get(self._scope(path), ())


def _shared(paths: list[Parts]) -> int:
    """How many leading parts all paths share, the layer's own name excepted."""
    shared = 0
    for parts in zip(*(path[:-1] for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared += 1
    return shared
