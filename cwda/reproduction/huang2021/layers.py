"""The transition layers of a network: where the number of filters changes."""

from __future__ import annotations

from collections.abc import Sequence

from cwda.layers import ConvLayer, Network

__all__ = ["ranked_layers", "transition_layers"]

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


def transition_layers(layers: Sequence[ConvLayer]) -> set[str]:
    """Names of layers with another number of filters than of input channels.

    The first layer, which sees the image, is none, nor are 1 x 1 shortcuts.

    Examples
    --------
    >>> import cwda
    >>> sorted(transition_layers(cwda.load("resnet20-cifar10").layers))
    ['layer2.0.conv1', 'layer3.0.conv1']
    """
    return {
        layer.name
        for layer in layers[1:]
        if layer.n_filters != layer.channels * layer.groups and layer.kernel_size > 1
    }
