"""The BatchNorm behind each convolution, as the names, shapes and order of a file tell it.

Nothing is run: a pair is made only where all that speaks agrees. Two things speak. By *name*
``bn1`` goes with ``conv1``, ``1`` with ``0``, ``norm`` with ``conv``. By *order* the parameters
of a BatchNorm come right behind those of its convolution, in the same module; a file whose names
are sorted has no order. A BatchNorm in front of its convolution (pre-activation) has the same
names; it gives itself away where its length is the number of the input channels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor
from cwda.layers import BatchNorm

__all__ = ["batchnorms_of"]

_Stem = tuple[tuple[str, ...], str]

#: What PyTorch, Keras and Flax call scale, shift, running mean and variance.
_PARTS = (
    {"weight", "gamma", "scale"},
    {"bias", "beta"},
    {"running_mean", "moving_mean", "mean"},
    {"running_var", "moving_variance", "var"},
)
_CONV = re.compile(r"conv(olution)?(_?[123]d)?", re.IGNORECASE)
_NORMS = ("bn", "norm", "batchnorm", "batch_norm", "normalization", "normalisation")
_AFTER = ("_bn", "_norm", "_batch_norm", "_batchnorm", "bn", ".bn", ".norm", "_BN")


@dataclass(frozen=True)
class _Norm:
    """The four tensors of one BatchNorm."""

    stem: _Stem
    scale: NamedTensor
    shift: NamedTensor

    @property
    def length(self) -> int:
        """The number of its channels."""
        return self.scale.shape[0]

    @property
    def name(self) -> str:
        """Its path in the file."""
        return ".".join(filter(None, (*self.stem[0], self.stem[1])))

    def read(self) -> BatchNorm:
        """Its values."""
        scale, shift = self.scale.read(), self.shift.read()
        return BatchNorm(scale.double(), shift.double(), self.name, scale.dtype)


@dataclass
class _File:
    """The modules of a file, in its order."""

    tensors: Sequence[NamedTensor]
    places: dict[_Stem, int] = field(default_factory=dict)
    norms: dict[_Stem, _Norm] = field(default_factory=dict)
    sorted: bool = False

    def __post_init__(self) -> None:
        parts: dict[_Stem, dict[str, NamedTensor]] = {}
        for tensor in self.tensors:
            stem, leaf = split_leaf(tensor.name)
            parts.setdefault((tensor.container, stem), {})[leaf] = tensor
        self.places = {stem: place for place, stem in enumerate(parts)}
        for module, leaves in parts.items():
            found = [next((leaves[x] for x in leaves if x in names), None) for names in _PARTS]
            whole = [part for part in found if part is not None]
            shapes = {part.shape for part in whole}
            if len(whole) == len(_PARTS) and len(shapes) == 1 and len(whole[0].shape) == 1:
                self.norms[module] = _Norm(module, whole[0], whole[1])
        # Every library makes the scale first; the alphabet has "bias" and "beta" first.
        order = {id(tensor): place for place, tensor in enumerate(self.tensors)}
        self.sorted = all(
            order[id(norm.shift)] < order[id(norm.scale)] for norm in self.norms.values()
        )

    def next_to(self, stem: _Stem) -> _Norm | None:
        """The BatchNorm right behind a convolution, in the module that holds both."""
        if self.sorted or stem not in self.places:
            return None
        stems = list(self.places)
        place = self.places[stem] + 1
        after = self.norms.get(stems[place]) if place < len(stems) else None
        return after if after and _parent(after.stem) == _parent(stem) else None


def batchnorms_of(
    weights: Sequence[NamedTensor],
    sizes: Sequence[tuple[int, int]],
    tensors: Sequence[NamedTensor],
) -> list[tuple[BatchNorm | None, str]]:
    """The BatchNorm of each convolution, or why it is not known.

    Parameters
    ----------
    weights : sequence of NamedTensor
        The weights of the convolutions.
    sizes : sequence of (int, int)
        Number of filters and of input channels of each.
    tensors : sequence of NamedTensor
        All tensors of the source, in its order.
    """
    file = _File(tensors)
    if not file.norms:
        none = "the source holds no BatchNorm with scale, shift and running statistics"
        return [(None, none)] * len(weights)
    stems = [(tensor.container, split_leaf(tensor.name)[0]) for tensor in weights]
    named = [_named(stem, file.norms) for stem in stems]
    in_front = _in_front(named, sizes, file.sorted)
    crowded = _crowded(stems, file.norms)
    chosen = [
        _chosen(
            [norm for norm in by_name if norm.length == filters],
            file.next_to(stem),
            filters,
            (file.sorted, in_front, _parent(stem) in crowded),
        )
        for stem, by_name, (filters, _) in zip(stems, named, sizes, strict=True)
    ]
    claims = Counter(norm.stem for norm, _ in chosen if norm)
    return [
        (None, f"its BatchNorm {norm.name} would be that of another convolution too")
        if norm and claims[norm.stem] > 1
        else (norm.read() if norm else None, reason)
        for norm, reason in chosen
    ]


def _chosen(
    named: Sequence[_Norm], following: _Norm | None, filters: int, file: tuple[bool, bool, bool]
) -> tuple[_Norm | None, str]:
    """The one BatchNorm that fits, or why none is taken."""
    without_order, in_front, crowded = file
    if following is not None and following.length != filters:
        following = None
    if len(named) > 1:
        return None, f"several BatchNorms have names that fit: {named[0].name}, {named[1].name}"
    if not named and following is None:
        return None, "no BatchNorm of this many channels belongs to it by name or order"
    if not named:
        assert following is not None
        if crowded:
            return None, f"{following.name} follows it, but its module has other convolutions"
        return following, ""
    if following is None:
        if in_front or not without_order:
            return None, f"{named[0].name} has a name that fits, but does not come behind it"
        return named[0], ""
    if following.stem != named[0].stem:
        return None, f"{named[0].name} fits by its name, {following.name} by its place"
    return following, ""


def _named(stem: _Stem, norms: Mapping[_Stem, _Norm]) -> list[_Norm]:
    """The BatchNorms whose names go with that of a convolution."""
    container, name = stem
    found = {(container, candidate) for candidate in _candidates(name)}
    return [norms[candidate] for candidate in sorted(found) if candidate in norms]


def _candidates(name: str) -> Iterator[str]:
    above, last = split_leaf(name)
    start = name[: len(name) - len(last)]
    if last.isdecimal():
        yield f"{start}{int(last) + 1}"
    for norm in _NORMS:
        for written in (norm, norm.capitalize(), norm.upper(), "BatchNorm"):
            yield f"{start}{_CONV.sub(written, last, count=1)}"
            yield f"{start}{written}_{last}"
    for end in _AFTER:
        yield f"{name}{end}"
    if "branch" in last:  # res2a_branch2a, bn2a_branch2a
        yield f"{start}{re.sub('^res', 'bn', last)}"
    if not start and above:
        yield f"{above}_bn"


def _in_front(
    named: Sequence[Sequence[_Norm]], sizes: Sequence[tuple[int, int]], without_order: bool
) -> bool:
    """Whether the BatchNorms with the names of convolutions may lie in front of them.

    One that has the length of the inputs does; where no order speaks against it, one that has
    the length of the filters, and not that of the inputs, must speak for the others.
    """
    pairs = [
        (norm.length == filters, norm.length == channels)
        for norms, (filters, channels) in zip(named, sizes, strict=True)
        for norm in norms
    ]
    return (False, True) in pairs or (without_order and (True, False) not in pairs)


def _crowded(stems: Sequence[_Stem], norms: Mapping[_Stem, _Norm]) -> set[_Stem]:
    """The modules that hold more convolutions than BatchNorms."""
    convolutions = Counter(map(_parent, stems))
    own = Counter(map(_parent, norms))
    return {parent for parent, count in convolutions.items() if count > own[parent]}


def _parent(stem: _Stem) -> _Stem:
    return stem[0], split_leaf(stem[1])[0]
