"""VGG for 32 x 32 images, in the layouts of public checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cwda.brief import brief

__all__ = ["CONFIGURATIONS", "CifarVGG", "HeadLayer", "VGGPlan", "cifar_vgg"]

#: Convolutions of each stage, by the number of layers of the original (Simonyan and Zisserman
#: 2015, configurations A, B, D and E).
CONFIGURATIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class HeadLayer:
    """A layer behind the convolutions: its dotted name and sizes; BatchNorm keeps the size."""

    name: str
    inputs: int
    outputs: int
    batchnorm: bool = False
    bias: bool = True


@dataclass(frozen=True)
class VGGPlan:
    """Sizes and names of a VGG for 32 x 32 images.

    Attributes
    ----------
    stages : tuple of tuple of int
        Filters of the convolutions of each of the five stages.
    head : tuple of HeadLayer
        Linear layers, with ReLU between them, and BatchNorm among them.
    in_channels : int
        Channels of the input image.
    batchnorm, bias : bool
        Whether the convolutions have BatchNorm behind them, and biases.
    features : str
        Name of the convolutions' container.
    last_pool : bool
        Whether the last stage ends with max pooling as the others do; if not, with the mean
        over all positions.
    """

    stages: tuple[tuple[int, ...], ...]
    head: tuple[HeadLayer, ...]
    in_channels: int = 3
    batchnorm: bool = True
    bias: bool = False
    features: str = "features"
    last_pool: bool = True

    __repr__ = brief

    @property
    def depth(self) -> int:
        """Number of layers of the original of this configuration."""
        return 3 + sum(map(len, self.stages))

    @property
    def assumes_relu(self) -> bool:
        """Whether two linear layers are attributes of their own: names leave no room for ReLU."""
        names = [layer.name for layer in self.head if not layer.batchnorm]
        containers = [name.rpartition(".")[0] for name in names]
        return len(names) > 1 and (len(set(containers)) > 1 or not containers[0])


class CifarVGG(nn.Module):
    """Simonyan and Zisserman (2015), as is usual for 32 x 32 images.

    Each convolution (3 x 3) is followed by BatchNorm, where there is any, and ReLU. What the
    pooling leaves is averaged over the positions (a single one for 32 x 32 pixels).

    Parameters
    ----------
    plan : VGGPlan
        Its sizes and the names of its parts; see `cifar_vgg` for the usual ones.
    """

    def __init__(self, plan: VGGPlan) -> None:
        super().__init__()
        self.plan = plan
        self.add_module(plan.features, nn.Sequential(*_feature_layers(plan)))
        for layer in plan.head:
            made = (
                nn.BatchNorm1d(layer.inputs)
                if layer.batchnorm
                else nn.Linear(layer.inputs, layer.outputs, bias=layer.bias)
            )
            container, _, name = layer.name.rpartition(".")
            if container and container not in dict(self.named_children()):
                self.add_module(container, nn.Module())
            self.get_submodule(container).add_module(name, made)

    def forward(self, x: Tensor) -> Tensor:
        x = self.get_submodule(self.plan.features)(x).mean(dim=(2, 3))
        for layer, following in zip(self.plan.head, (*self.plan.head[1:], None), strict=True):
            x = self.get_submodule(layer.name)(x)
            if _activated(layer, following, self.plan.head[0]):
                x = torch.relu(x)
        return x


def _activated(layer: HeadLayer, following: HeadLayer | None, first: HeadLayer) -> bool:
    """ReLU stands behind each linear layer and its BatchNorm, but the last."""
    only_norm = layer.batchnorm and layer is first
    return following is not None and not following.batchnorm and not only_norm


def _feature_layers(plan: VGGPlan) -> list[nn.Module]:
    layers: list[nn.Module] = []
    inputs = plan.in_channels
    for index, stage in enumerate(plan.stages):
        for filters in stage:
            layers.append(nn.Conv2d(inputs, filters, 3, padding=1, bias=plan.bias))
            layers += [nn.BatchNorm2d(filters)] if plan.batchnorm else []
            layers.append(nn.ReLU(inplace=True))
            inputs = filters
        if plan.last_pool or index < len(plan.stages) - 1:
            layers.append(nn.MaxPool2d(2))
    return layers


def cifar_vgg(depth: int, num_classes: int = 10) -> CifarVGG:
    """Build VGG11, 13, 16 or 19 with BatchNorm and one linear layer, for 32 x 32 images.

    Raises
    ------
    ValueError
        If `depth` is another number.

    Examples
    --------
    >>> from cwda.models import cifar_vgg
    >>> sum(p.numel() for p in cifar_vgg(16).parameters())
    14724042
    """
    if depth not in CONFIGURATIONS:
        raise ValueError(f"depth must be one of {', '.join(map(str, CONFIGURATIONS))}, not {depth}")
    stages = tuple(
        (width,) * count for width, count in zip(_WIDTHS, CONFIGURATIONS[depth], strict=True)
    )
    plan = VGGPlan(stages, (HeadLayer("classifier", _WIDTHS[-1], num_classes),))
    # Layers draw initial weights from the global generator; its state is given back.
    with torch.random.fork_rng(devices=[]):
        return CifarVGG(plan)
