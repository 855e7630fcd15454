"""Small networks and images, quick to prune."""

from __future__ import annotations

import pytest
import torch

from cwda.models import ImageData, cifar_resnet, initialise


def images(n: int, seed: int, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise on a brightness and a tint that tell the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    pixels = torch.randint(0, 120, (n, 3, 8, 8), generator=generator)
    pixels[:, 0] += 30 * labels.view(n, 1, 1)
    pixels[:, 2] += 40 * (labels.view(n, 1, 1) % 2)
    return pixels.to(torch.uint8), labels


@pytest.fixture(scope="session")
def data() -> ImageData:
    return ImageData(*images(96, 1), *images(40, 2))


@pytest.fixture(scope="session")
def model() -> torch.nn.Module:
    """A ResNet-8 with 4 classes, and BatchNorms that differ from one another."""
    network = cifar_resnet(8, num_classes=4, width=8)
    initialise(network, seed=3)
    generator = torch.Generator().manual_seed(4)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.running_mean.normal_(0, 0.1, generator=generator)
    return network.eval()
