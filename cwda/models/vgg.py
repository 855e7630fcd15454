"""VGG16 with BatchNorm for 32 x 32 images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["CifarVGG", "cifar_vgg16"]

#: Filters of the convolutions of each stage; a stage ends with pooling by two.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class CifarVGG(nn.Module):
    """Configuration D of Simonyan and Zisserman (2015), as is usual for 32 x 32 images.

    Each of the 13 convolutions (3 x 3, no bias) is followed by BatchNorm and ReLU; after the
    fifth pooling one linear layer takes the place of the three of the original.

    Parameters
    ----------
    num_classes : int
        Number of outputs.
    in_channels : int
        Channels of the input image.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for stage in _STAGES:
            for channels in stage:
                layers += [
                    nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.ReLU(inplace=True),
                ]
                in_channels = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return logits


def cifar_vgg16(num_classes: int = 10) -> CifarVGG:
    """Build VGG16 with BatchNorm for 32 x 32 images, with PyTorch's default initial weights.

    Examples
    --------
    >>> from cwda.models import cifar_vgg16
    >>> sum(p.numel() for p in cifar_vgg16().parameters())
    14724042
    """
    # Layers draw initial weights from the global generator; its state is given back.
    with torch.random.fork_rng(devices=[]):
        return CifarVGG(num_classes)
