"""Which layers of two networks belong together."""

from __future__ import annotations

from cwda.layers import ConvLayer, Network

__all__ = ["kept", "pairs"]

#: Share of the weights of each network that must be paired, or nothing is.
_LEAST = 0.5


def pairs(a: Network, b: Network) -> list[tuple[ConvLayer, ConvLayer]]:
    """Layers of one shape: of one name, or in one order where all shapes agree.

    Empty where the layers so paired have less than half of the weights of either network: they
    would not speak for it.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> len(pairs(net, net)), len(pairs(net, net.select("layer1.*")))
    (19, 0)
    """
    if [_kind(layer) for layer in a] == [_kind(layer) for layer in b]:
        return list(zip(a, b, strict=True))
    others = {layer.name: layer for layer in b}
    found = [
        (layer, others[layer.name])
        for layer in a
        if layer.name in others and _kind(layer) == _kind(others[layer.name])
    ]
    paired = sum(layer.n_weights for layer, _ in found)
    return found if paired >= _LEAST * max(a.n_weights, b.n_weights) else []


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
