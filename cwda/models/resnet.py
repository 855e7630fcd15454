"""Residual networks for 32 x 32 images (He et al. 2016, section 4.2).

The family has 6n + 2 layers: one stem convolution, three stages of n basic blocks
with 16, 32 and 64 filters, and one linear layer. Its shortcuts have no parameters
(option A of the paper): where a stage begins, the identity is subsampled by two and
padded with zero channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cwda.errors import TrainingError

__all__ = [
    "DEPTHS",
    "INITIALISATIONS",
    "BasicBlock",
    "CifarResNet",
    "cifar_resnet",
    "initialise",
]

DEPTHS = (20, 32, 44, 56, 110)

INITIALISATIONS = ("kaiming_normal", "kaiming_uniform", "orthogonal")


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with BatchNorm, beside a shortcut without parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra_channels = channels - in_channels

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1 and self.extra_channels == 0:
            return x
        before = self.extra_channels // 2
        after = self.extra_channels - before
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, after))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self._shortcut(x))


class CifarResNet(nn.Module):
    """A ResNet of depth 6n + 2 for images of 32 x 32 pixels.

    Parameters
    ----------
    blocks_per_stage : int
        n, the number of basic blocks in each of the three stages.
    num_classes : int
        Number of outputs of the linear layer.
    width : int
        Number of filters of the stem and of the first stage; the second and third
        stage have two and four times as many.
    in_channels : int
        Channels of the input image.
    """

    def __init__(
        self,
        blocks_per_stage: int,
        num_classes: int = 10,
        width: int = 16,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(width, width, blocks_per_stage, stride=1)
        self.layer2 = self._stage(width, 2 * width, blocks_per_stage, stride=2)
        self.layer3 = self._stage(2 * width, 4 * width, blocks_per_stage, stride=2)
        self.linear = nn.Linear(4 * width, num_classes)

    @staticmethod
    def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        first = BasicBlock(in_channels, channels, stride)
        rest = [BasicBlock(channels, channels, 1) for _ in range(blocks - 1)]
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def cifar_resnet(depth: int, num_classes: int = 10, width: int = 16) -> CifarResNet:
    """Build the ResNet of He et al. (2016, section 4.2) of a given depth.

    Parameters
    ----------
    depth : int
        Number of layers with weights, 6n + 2 for a whole n of at least 1; the
        published ones are 20, 32, 44, 56 and 110.
    num_classes : int
        Number of classes.
    width : int
        Filters of the first stage (16 in the paper).

    Returns
    -------
    CifarResNet
        The network with PyTorch's default initial weights; see `initialise`.

    Raises
    ------
    ValueError
        If `depth` is not 6n + 2.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> sum(p.numel() for p in cifar_resnet(20).parameters())
    269722
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth must be 6n + 2 with n >= 1 (as 20, 32, 56), not {depth}")
    # Layers draw initial weights from the global generator; its state is given back.
    with torch.random.fork_rng(devices=[]):
        return CifarResNet((depth - 2) // 6, num_classes=num_classes, width=width)


def initialise(model: nn.Module, seed: int, scheme: str = "kaiming_normal") -> None:
    """Draw initial weights of variance about 2 / fan_in for convolutions and linear layers.

    "kaiming_normal" draws N(0, 2 / fan_in), "kaiming_uniform" the uniform law of the same
    variance (both He et al. 2015), "orthogonal" makes the filters of a layer orthogonal,
    of norm sqrt(2) (Saxe et al. 2014; where there are more filters than dimensions, the
    positions). Biases are 0, BatchNorm scale 1 and shift 0. The draw depends on `seed`
    alone; the global random state is not touched.

    Parameters
    ----------
    model : nn.Module
        The network, changed in place.
    seed : int
        Seed of the generator.
    scheme : str
        One of `INITIALISATIONS`.

    Raises
    ------
    TrainingError
        If the scheme is unknown.
    """
    if scheme not in INITIALISATIONS:
        raise TrainingError(
            f"unknown initialisation {scheme!r}; choose from {', '.join(INITIALISATIONS)}"
        )
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            _draw(module.weight, scheme, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def _draw(weight: Tensor, scheme: str, generator: torch.Generator) -> None:
    if scheme == "orthogonal":
        nn.init.orthogonal_(weight, gain=nn.init.calculate_gain("relu"), generator=generator)
    elif scheme == "kaiming_uniform":
        nn.init.kaiming_uniform_(weight, nonlinearity="relu", generator=generator)
    else:
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
