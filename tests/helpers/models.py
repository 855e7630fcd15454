"""Small models whose filters are tied in different ways."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from cwda.models import cifar_resnet


def settled(model, seed=0):
    """A model in evaluation mode, with weights and running statistics drawn by a seed."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                for tensor, low, high in (
                    (part.weight, 0.5, 1.5),
                    (part.bias, -1, 1),
                    (part.running_mean, -1, 1),
                    (part.running_var, 0.5, 2),
                ):
                    if tensor is not None:
                        draw(tensor, low, high)
            elif isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
                bound = (3 / part.weight[0].numel()) ** 0.5
                draw(part.weight, -bound, bound)
                if part.bias is not None:
                    draw(part.bias, -0.5, 0.5)
    return model.eval()


def built(make, seed=0):
    """A settled model, made without a trace in the global random state."""
    with torch.random.fork_rng(devices=[]):
        model = make()
    return settled(model, seed)


def resnet20():
    return settled(cifar_resnet(20))


def vision(name, **options):
    import torchvision.models

    return built(lambda: getattr(torchvision.models, name)(weights=None, **options))


class Vgg(nn.Module):
    """Convolutions with biases, BatchNorm, and a head that is fed 2 x 2 positions a channel."""

    def __init__(self):
        super().__init__()
        layers = []
        for before, after in ((3, 8), (8, 12), (12, 16)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)]
            layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(16 * 4, 20), nn.ReLU(), nn.Linear(20, 5))

    def forward(self, x):
        x = self.features(x)
        return self.head(x.view(x.size(0), -1))


class Gated(nn.Module):
    """A product with a gate computed from the same channels; the gate's zero is no zero."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.last = nn.Conv2d(8, 2, 3)

    def forward(self, x):
        x = F.relu(self.conv(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.last(x * gate)


class Behind(nn.Module):
    """One convolution, an operation, and another that reads the result."""

    def __init__(self, operation, before=6, after=6, **options):
        super().__init__()
        self.first = nn.Conv2d(3, before, 3, padding=1, **options)
        self.last = nn.Conv2d(after, 2, 3)
        self.operation = operation

    def forward(self, x):
        return self.last(self.operation(self.first(x)))


class Twice(nn.Module):
    """A convolution that is used twice: its inputs and outputs are the same channels."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.shared = nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = F.relu(self.shared(F.relu(self.stem(x))))
        return self.last(F.relu(self.shared(x)))


class Joined(nn.Module):
    """Concatenation: the second half of what `last` reads comes from `right`."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(3, 4, 1)
        self.right = nn.Conv2d(3, 6, 1)
        self.norm = nn.BatchNorm2d(10)
        self.last = nn.Conv2d(10, 2, 1)

    def forward(self, x):
        return self.last(F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1))))


class Grouped(nn.Module):
    """A convolution in three groups, a depthwise one, a transposed one, one output."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3)
        self.grouped = nn.Conv2d(12, 6, 3, groups=3, padding=1)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6, padding=1)
        self.up = nn.ConvTranspose2d(6, 8, 2, stride=2)
        self.single = nn.Conv2d(8, 1, 1)
        self.last = nn.Conv2d(1, 2, 1)

    def forward(self, x):
        x = self.depthwise(F.relu(self.grouped(F.relu(self.stem(x)))))
        return self.last(F.relu(self.single(F.relu(self.up(x)))))
