"""Whether a weight of shape (C, 1, k, k) is depthwise or sees an input of one channel.

Both look the same in a state dict. A depthwise convolution follows a layer of as many
filters; the first layer of a network, or of a branch with an input of its own, does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor
from cwda.convolutions.branches import Branches, Parts, Scopes

__all__ = ["groups_of_single_channels"]

_DEPTHWISE = "depthwise (groups = channels), because a filter sees one channel and {}"
_MULTIPLIED = "depthwise with {} filters per channel, because the layer before it has {} filters"
_ONE_CHANNEL = "groups = 1: a filter sees one channel, but {}"
_CORRECTS = " (groups= corrects it)"
_NAMED = re.compile(r"(.*[_\W\d])?(dw|dwise|dw_?conv)([_\W\d].*)?|.*depth_?wise.*", re.IGNORECASE)
#: Branches of one convolution that are added up, and later put into one.
_PARALLEL = re.compile(
    r"(conv|rbr)_(kxk|scale|dense|conv|1x1|skip|reparam)|(large|small|lk)_(conv|kernel|origin)"
)
_DOWN = re.compile(r"down_?sampl\w*", re.IGNORECASE)
#: Names of a network's first part.
_STEM = re.compile(r"(.*_)?(stem|conv_in|patch_embed)(_.*)?", re.IGNORECASE)
#: Channels of colour images, some with depth or as pairs.
_COLOURS = (2, 3, 4, 6)
#: So many parts with one such layer each are blocks, not branches; so many layers are of blocks.
_BLOCKS, _MANY = 3, 5
#: Most filters for each channel of a depthwise layer.
_MULTIPLE = 4


def groups_of_single_channels(
    weights: Sequence[NamedTensor], tensors: Sequence[NamedTensor]
) -> list[tuple[int, str]]:
    """For each convolution the likeliest groups, if its filters see one channel, and why.

    Elsewhere, and where there is no question, the groups are 1 and the words are empty.
    `tensors` are all of the source, linear layers among them.
    """
    evidence = _Evidence(weights, tensors)
    return [evidence.judge(index) for index in range(len(weights))]


class _Evidence:
    """What all layers together tell about those that see one channel."""

    def __init__(self, weights: Sequence[NamedTensor], tensors: Sequence[NamedTensor]) -> None:
        self._weights = weights
        self._paths: list[Parts] = [
            (*tensor.container, *tensor.name.split("."))[:-1] for tensor in weights
        ]
        self._sizes = [(_outputs(tensor), tensor.shape[1]) for tensor in weights]
        self._pairs = set(self._sizes)
        self._made = {filters for filters, inputs in self._sizes if inputs > 1}
        self._sorted = self._paths == sorted(self._paths)
        self._threes = sum(inputs == 3 for _, inputs in self._sizes)
        #: Whether some layer sees a colour image, so that one channel is not an image.
        self._colour = any(map(self._sees_colours, range(len(weights))))
        single = [t for t in weights if t.shape[1] == 1 < t.shape[0]]
        self._single = len(single)
        self._spread = {t.shape[0] for t in single if _positions(t) > 1}
        self._scopes = Scopes(self._paths, self._sizes)
        self._branches = Branches(self._paths, self._sizes)
        self._linear = _Linear(tensors)
        stems = (n for n, p in enumerate(self._paths) if any(map(_STEM.fullmatch, p)))
        #: The first layer of a stem that lies late because the file is sorted.
        self._stem = next(stems, 0) if self._sorted else 0
        self._parallel: dict[tuple[Parts, int], tuple[int, str]] = {}

    def judge(self, index: int) -> tuple[int, str]:
        """The groups of a layer, and why."""
        tensor, path = self._weights[index], self._paths[index]
        if tensor.groups is not None or tensor.shape[1] != 1 or tensor.shape[0] == 1:
            return 1, ""
        block = next((n for n, part in enumerate(path) if _PARALLEL.fullmatch(part)), None)
        if block is None:
            return self._judge(index)
        key = (path[:block], tensor.shape[0])
        if key not in self._parallel:
            self._parallel[key] = self._judge(index)
        return self._parallel[key]

    def _judge(self, index: int) -> tuple[int, str]:
        filters = self._sizes[index][0]
        if any(map(_NAMED.fullmatch, self._paths[index])):
            return self._depthwise(index, "its name says so")
        if self._linear.surround(self._weights[index]):
            return filters, _DEPTHWISE.format("it lies between linear layers") + _CORRECTS
        against = self._in_colour(index) if self._colour else self._in_grey(index)
        if against is None:
            return self._depthwise(index, "it does not begin the network or a branch")
        return 1, _ONE_CHANNEL.format(against) + _CORRECTS if against else ""

    def _depthwise(self, index: int, why: str) -> tuple[int, str]:
        filters, before = self._sizes[index][0], self._sizes[index - 1][0]
        multiple, rest = divmod(filters, before)
        path = self._paths[index]
        adjacent = index > 0 and path[:-1] == self._paths[index - 1][:-1]
        adjacent = adjacent or (multiple == 2 and any(map(_DOWN.fullmatch, path)))
        several = before > 1 and not rest and 1 < multiple <= _MULTIPLE
        if adjacent and several and (filters, before) not in self._pairs:
            return before, _MULTIPLIED.format(multiple, before) + _CORRECTS
        return filters, _DEPTHWISE.format(why) + _CORRECTS

    def _sees_colours(self, index: int) -> bool:
        """Whether a layer sees an image, and not a group or a few channels of another layer."""
        filters, inputs = self._sizes[index]
        if inputs not in _COLOURS or filters < 8:
            return False
        if index == 0:
            return True
        before = self._sizes[index - 1][0]
        if before == inputs or (inputs != 3 and inputs in self._made):
            return False
        groups, rest = divmod(before, inputs)
        grouped = not rest and groups > 1 and filters % groups == 0
        return not grouped or (inputs == 3 and self._threes < _BLOCKS)

    def _in_colour(self, index: int) -> str | None:
        """What speaks against depthwise where the network sees colours; None if nothing does."""
        path, filters = self._paths[index], self._sizes[index][0]
        before = self._sizes[index - 1][0]
        if _positions(self._weights[index]) == 1 and filters not in self._spread:
            return "its kernel has one position"
        lone = self._scopes.is_lone(path)
        if index == 0:  # in a sorted file the first layer may be any
            mixed = self._next_mixes(index)
            if self._sorted and mixed == 1 and filters in self._made:
                return None
            return "" if lone or not self._sorted or mixed > 1 else None
        if before == 1:
            return "the layer before it has one filter"
        begins = self._scopes.begins(index)
        if begins and self._changes_axes(index):
            return "it begins a part of the network with kernels of other axes"
        if self._sizes[0][1] != 1 and self._branches.begins(index):
            return self._branch()
        if self._next_mixes(index) > 1:
            if begins and self._branches.mirrors(index):
                return "it begins a part of the network that is named as the first layer's"
            if self._single == 1 and not self._beside_as_many(index):
                return "it is the only one, and a layer that mixes neighbours follows"
        blocks = self._scopes.lone_scopes >= _BLOCKS
        if lone and begins and filters % before and not blocks:
            return "it begins a part of the network after a layer of other size"
        return None

    def _in_grey(self, index: int) -> str | None:
        """The same where no layer sees colours, so that the input may have one channel."""
        filters, before = self._sizes[index][0], self._sizes[index - 1][0]
        if index == 0:
            late = self._stem > 0 and self._sizes[self._stem][1] == 1
            return None if late else ""
        if index == self._stem:
            return "it is named as the first layer of a network"
        if _positions(self._weights[index]) == 1 and filters not in self._spread:
            return "its kernel has one position"
        if self._branches.begins(index):
            return self._branch()
        mixed = self._next_mixes(index)
        if self._scopes.begins(index):
            joined = filters % before == 0 and before > 1 and self._single >= _MANY
            follows = before == filters or (joined and mixed == 1)
        else:
            halved = before == 2 * filters and mixed == 1
            divided = self._scopes.divided(index) or self._single >= _MANY
            follows = before > 1 and (divided or halved)
        return None if follows else "no layer before it has as many filters"

    def _branch(self) -> str:
        if self._branches.unmixed:
            return "so it is in every layer, and nothing shows that they are depthwise"
        return "it begins a branch as the first layer does"

    def _changes_axes(self, index: int) -> bool:
        return len(self._weights[index].shape) != len(self._weights[index - 1].shape)

    def _beside_as_many(self, index: int) -> bool:
        """Whether the layer before it lies in the same module and has as many filters."""
        same = self._paths[index][:-1] == self._paths[index - 1][:-1]
        numbered = self._paths[index][-1].isdigit()
        return same and numbered and self._sizes[index - 1][0] == self._sizes[index][0]

    def _next_mixes(self, index: int) -> int:
        """Positions of the next layer's kernel if it mixes the layer's filters; else 0."""
        if index + 1 == len(self._weights) or self._sizes[index + 1][1] != self._sizes[index][0]:
            return 0
        return _positions(self._weights[index + 1])


class _Linear:
    """The linear layers of a source, by the module that holds them."""

    def __init__(self, tensors: Sequence[NamedTensor]) -> None:
        self._places = {tensor.path: place for place, tensor in enumerate(tensors)}
        self._beside: dict[str, list[tuple[int, str, tuple[int, ...]]]] = {}
        for place, tensor in enumerate(tensors):
            module, leaf = split_leaf(tensor.path)
            if leaf == "weight" and len(tensor.shape) == 2:
                parent, name = split_leaf(module)
                self._beside.setdefault(parent, []).append((place, name, tensor.shape))

    def surround(self, tensor: NamedTensor) -> bool:
        """Whether a linear layer of the same module comes before a convolution and fits it."""
        place = self._places.get(tensor.path, 0)
        parent = split_leaf(split_leaf(tensor.path)[0])[0]
        filters = tensor.shape[0]
        return any(
            before < place and (name == "in_proj" or shape[0] in (filters, 2 * filters))
            for before, name, shape in self._beside.get(parent, ())
        )


def _positions(tensor: NamedTensor) -> int:
    return math.prod(tensor.shape[2:])


def _outputs(tensor: NamedTensor) -> int:
    return tensor.shape[1 if tensor.transposed else 0] * (
        tensor.groups if tensor.groups and tensor.transposed else 1
    )
