"""Small networks of each kind that removal of filters meets, with images and losses."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 4


def block(n_in, n_out, **options):
    return [nn.Conv2d(n_in, n_out, 3, padding=1, **options), nn.BatchNorm2d(n_out)]


class Residual(nn.Module):
    """A residual sum, a shortcut computed after the branch, and work in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = block(3, 5)
        self.conv1, self.bn1 = block(5, 5, bias=False)
        self.conv2, self.bn2 = block(5, 6, stride=1)
        self.short = nn.Conv2d(5, 6, 1)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)), inplace=True)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        y += self.short(x)
        y = F.relu_(y)
        return self.fc(F.adaptive_avg_pool2d(y, 1).view(x.size(0), -1))


class Dense(nn.Module):
    """Concatenations, with BatchNorms behind them; a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.bn1, self.conv1 = nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1)
        self.bn2, self.conv2 = nn.BatchNorm2d(7), nn.Conv2d(7, 3, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(10)
        self.point, self.deep = nn.Conv2d(10, 6, 1), nn.Conv2d(6, 6, 3, groups=6)
        self.bn4, self.fc = nn.BatchNorm2d(6), nn.Linear(6, CLASSES)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.conv1(F.relu(self.bn1(x)))], 1)
        x = torch.cat([self.conv2(F.relu(self.bn2(x))), x], 1)
        x = self.point(F.relu6(self.bn3(x)))
        return self.fc(F.relu(self.bn4(self.deep(x))).mean((2, 3)))


def plain():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        *block(6, 5), nn.ReLU(), nn.Conv2d(5, 4, 2), nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip


def alive(make, seed=0):
    """A network whose BatchNorms do something, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                for tensor in (part.weight, part.bias, part.running_mean):
                    nn.init.normal_(tensor)
                nn.init.uniform_(part.running_var, 0.5, 2)
    return model.eval()


def images(n=9, size=8):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, size, size, generator=generator)
    return x, torch.randint(CLASSES, (n,), generator=generator)


def losses(model, data):
    with torch.no_grad():
        return F.cross_entropy(model(data[0]).double(), data[1], reduction="none")
