"""Networks of known shape with random weights, for timing."""

from __future__ import annotations

import torch

from cwda.layers import ConvLayer, Network, Provenance

__all__ = ["one_layer", "resnet18_shaped", "state_dict"]


def _shapes() -> dict[str, tuple[int, int, int, int]]:
    shapes = {"conv1": (64, 3, 7, 7)}
    before = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            channels = before if block == 0 else width
            shapes[f"layer{stage}.{block}.conv1"] = (width, channels, 3, 3)
            shapes[f"layer{stage}.{block}.conv2"] = (width, width, 3, 3)
            if block == 0 and stage > 1:
                shapes[f"layer{stage}.0.downsample.0"] = (width, channels, 1, 1)
        before = width
    return shapes


def resnet18_shaped(seed: int = 0) -> Network:
    """The 20 convolutions of ResNet-18 (11.2 M weights): t-distributed, filters of unequal scale.

    Weights with heavy tails and a spread of scales, as trained ones have, keep the timings
    from resting on an easy case.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for name, shape in _shapes().items():
        normal = torch.randn(shape, generator=generator)
        chi = torch.randn((8, *shape), generator=generator).square_().mean(0).sqrt_()
        scale = torch.randn(shape[0], 1, 1, 1, generator=generator).mul_(0.2).exp_()
        layers.append(ConvLayer(name, 0.05 * scale * normal / chi))
    return Network("resnet18-shaped", tuple(layers), Provenance("random weights", "array"))


def one_layer(n: int, channels: int, side: int) -> Network:
    """A network of one convolution with normal weights."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(n, channels, side, side, generator=generator)
    return Network("one", (ConvLayer("conv", weight),), Provenance("random", "array"))


def state_dict(network: Network) -> dict[str, torch.Tensor]:
    """The weights as a state dict."""
    return {f"{layer.name}.weight": layer.weight for layer in network}
