"""The layers of a network that have a rank correlation worth the name."""

from __future__ import annotations

from cwda.layers import ConvLayer, Network

__all__ = ["ranked_layers"]

#: Fewer filters have hardly a rank correlation.
FEWEST_FILTERS = 8


def ranked_layers(network: Network) -> list[ConvLayer]:
    """Layers with enough filters, which see several channels, for a rank correlation to mean much.

    Examples
    --------
    >>> import cwda
    >>> len(ranked_layers(cwda.load("resnet20-cifar10")))
    19
    """
    return [layer for layer in network if layer.n_filters >= FEWEST_FILTERS and layer.channels > 1]
