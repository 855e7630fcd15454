"""Which layers of two networks belong together."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch

from cwda.layers import ConvLayer, Network

__all__ = ["RELATED", "Pair", "kept", "pairs", "same_weights", "shares"]

#: Share of the weights of each network that must be paired, or nothing is.
_LEAST = 0.5

#: Cosine between paired weights, in the median layer, from which they have a start in common.
RELATED = 0.3


class Pair(NamedTuple):
    """A layer of the first network, that of the second, and whether their names agree."""

    one: ConvLayer
    other: ConvLayer
    by_name: bool


def pairs(a: Network, b: Network) -> list[Pair]:
    """Layers of one shape: of one name where names agree, and the rest by their order.

    1. Layers of the same name, shape and number of groups are paired. Names that differ by a
       prefix alone, such as ``module.``, are the same.
    2. Layers that are left are paired in their order, if all their shapes agree.
    3. If only some names agree, and all shapes agree in the order of the files, the two ways may
       contradict one another, as where a layer without weights shifts the numbers of
       `nn.Sequential`. Then the way by which the weights are related counts: that of the order
       if its median cosine is above .3 and that of the names is not.

    Empty where the layers so paired have less than half of the weights of either network: they
    would not speak for it.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> len(pairs(net, net)), len(pairs(net, net.select("layer1.*")))
    (19, 0)
    """
    named = _by_name(a.layers, b.layers)
    if len(named) == len(a) == len(b):
        return named
    left, right = _without(a, [pair.one for pair in named]), _without(b, [p.other for p in named])
    found = named + _by_order(left, right)
    if named and _contradict(found, ordered := _by_order(a.layers, b.layers)):
        found = ordered if _related(ordered) and not _related(found) else found
    return found if min(shares(a, b, found)) >= _LEAST else []


def shares(a: Network, b: Network, found: Sequence[Pair]) -> tuple[float, float]:
    """Share of the weights of each network that lies in the paired layers."""
    paired = sum(pair.one.n_weights for pair in found)
    return paired / max(a.n_weights, 1), paired / max(b.n_weights, 1)


def _by_name(a: Sequence[ConvLayer], b: Sequence[ConvLayer]) -> list[Pair]:
    """Layers of one name; of those that are left, layers of one name behind a prefix."""
    found = _of_one_name(a, b, "", "")
    left, right = _without(a, [pair.one for pair in found]), _without(b, [p.other for p in found])
    ends = Counter(
        (one.name.removesuffix(end), other.name.removesuffix(end))
        for one in left
        for other in right
        if (end := min(one.name, other.name, key=len)) and _behind(end, one, other)
    )
    if not ends:
        return found
    (before, behind), count = ends.most_common(1)[0]
    if 2 * count <= min(len(left), len(right)):
        return found
    return found + _of_one_name(left, right, before, behind)


def _behind(end: str, one: ConvLayer, other: ConvLayer) -> bool:
    """Whether one of two names is the other with something before it."""
    longer = max(one.name, other.name, key=len)
    return longer.endswith(f".{end}") and _kind(one) == _kind(other)


def _of_one_name(
    a: Sequence[ConvLayer], b: Sequence[ConvLayer], before: str, behind: str
) -> list[Pair]:
    """Layers with the same name, once these prefixes are taken off."""
    others = {layer.name.removeprefix(behind): layer for layer in b}
    both = [(layer, others.get(layer.name.removeprefix(before))) for layer in a]
    return [Pair(x, y, True) for x, y in both if y is not None and _kind(x) == _kind(y)]


def _by_order(a: Sequence[ConvLayer], b: Sequence[ConvLayer]) -> list[Pair]:
    """Layers in their order, if all shapes agree."""
    if [_kind(layer) for layer in a] != [_kind(layer) for layer in b]:
        return []
    return [Pair(one, other, False) for one, other in zip(a, b, strict=True)]


def _without(layers: Sequence[ConvLayer] | Network, gone: Sequence[ConvLayer]) -> list[ConvLayer]:
    names = {layer.name for layer in gone}
    return [layer for layer in layers if layer.name not in names]


def _contradict(found: Sequence[Pair], ordered: Sequence[Pair]) -> bool:
    other = {pair.one.name: pair.other.name for pair in found}
    return any(other.get(pair.one.name) != pair.other.name for pair in ordered)


def _related(found: Sequence[Pair]) -> bool:
    known = [cosine for pair in found if not math.isnan(cosine := kept(pair.one, pair.other))]
    return bool(known) and statistics.median(known) > RELATED


def _kind(layer: ConvLayer) -> tuple[object, ...]:
    return tuple(layer.weight.shape), layer.groups, layer.transposed


def kept(a: ConvLayer, b: ConvLayer) -> float:
    """Cosine between the weights of two layers of one shape; NaN if either has none but 0.

    Examples
    --------
    >>> import cwda
    >>> layer = cwda.load("resnet20-cifar10")["conv1"]
    >>> round(kept(layer, layer), 12)
    1.0
    """
    one, other = (layer.weight.detach().double().flatten().cpu() for layer in (a, b))
    product = float(one.norm() * other.norm())
    return float(one @ other) / product if product > 0 else float("nan")


def same_weights(a: ConvLayer, b: ConvLayer) -> bool:
    """Whether two layers of one shape have the same numbers, in whatever type."""
    return torch.equal(a.weight.detach().double().cpu(), b.weight.detach().double().cpu())
