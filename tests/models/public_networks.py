"""Networks for 32 x 32 images written as public code writes them: other names, same arithmetic."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """conv1, bn1, conv2, bn2 (and conv3, bn3), and what `beside` says under the name given."""

    def __init__(self, inputs, filters, stride, beside, bottleneck=False, wide=1, groups=1):
        super().__init__()
        outputs = wide * filters
        kernels = [1, 3, 1] if bottleneck else [3, 3]
        sizes = [inputs, filters, filters, outputs] if bottleneck else [inputs, filters, outputs]
        strides = [1, stride, 1] if bottleneck else [stride, 1]
        for i, (k, s) in enumerate(zip(kernels, strides, strict=True)):
            g = groups if k == 3 else 1
            conv = nn.Conv2d(sizes[i], sizes[i + 1], k, s, k // 2, groups=g, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm2d(sizes[i + 1]))
        self.beside, self.n, self.stride = beside, len(kernels), stride
        self.more = outputs - inputs
        if beside in ("shortcut", "downsample") and (stride > 1 or self.more):
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.add_module(beside, nn.Sequential(conv, nn.BatchNorm2d(outputs)))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.n == 3:
            y = self.bn3(self.conv3(F.relu(y)))
        if self.beside == "none":
            return F.relu(y)
        if hasattr(self, str(self.beside)):
            return F.relu(y + getattr(self, self.beside)(x))
        if self.stride > 1 or self.more:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(y + x)


class ResNet(nn.Module):
    """conv1, bn1, layer1 ..., and a head under the name given."""

    def __init__(self, counts, width, classes, beside, head, **block):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for i, count in enumerate(counts):
            blocks = []
            for j in range(count):
                stride = 2 if i and not j else 1
                blocks.append(Block(inputs, width << i, stride, beside, **block))
                inputs = (width << i) * block.get("wide", 1)
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.stages, self.head = len(counts), head
        self.add_module(head, nn.Linear(inputs, classes))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return getattr(self, self.head)(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Listed(nn.Module):
    """A block of Sequentials: residual_function and shortcut."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.residual_function = nn.Sequential(
            nn.Conv2d(inputs, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != filters:
            conv = nn.Conv2d(inputs, filters, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(filters))

    def forward(self, x):
        return F.relu(self.residual_function(x) + self.shortcut(x))


class ListedResNet(nn.Module):
    """conv1.0, conv1.1, conv2_x ... conv5_x, fc."""

    def __init__(self, classes=7):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.conv2_x = nn.Sequential(Listed(4, 4, 1), Listed(4, 4, 1))
        self.conv3_x = nn.Sequential(Listed(4, 8, 2), Listed(8, 8, 1))
        self.conv4_x = nn.Sequential(Listed(8, 16, 2), Listed(16, 16, 1))
        self.conv5_x = nn.Sequential(Listed(16, 32, 2), Listed(32, 32, 1))
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        x = self.conv5_x(self.conv4_x(self.conv3_x(self.conv2_x(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class VGG(nn.Module):
    """features, and whatever head is given."""

    def __init__(self, counts, batchnorm, bias, name="features", last="M", **head):
        super().__init__()
        layers, inputs = [], 3
        for i, count in enumerate(counts):
            for _ in range(count):
                layers.append(nn.Conv2d(inputs, 8 + 2 * i, 3, padding=1, bias=bias))
                layers += [nn.BatchNorm2d(8 + 2 * i)] if batchnorm else []
                layers.append(nn.ReLU(inplace=True))
                inputs = 8 + 2 * i
            if i < 4 or last == "M":
                layers.append(nn.MaxPool2d(2, 2))
        self.add_module(name, nn.Sequential(*layers))
        self.name, self.last, self.heads = name, last, list(head)
        for key, part in head.items():
            self.add_module(key, part)

    def forward(self, x):
        x = getattr(self, self.name)(x)
        x = (x if self.last == "M" else F.avg_pool2d(x, 2)).flatten(1)
        for i, key in enumerate(self.heads):
            x = getattr(self, key)(F.relu(x) if i else x)
        return x


def settled(model, seed=0):
    """The network with BatchNorm's statistics of random images, as training leaves them."""
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = None
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(part.bias, -0.5, 0.5, generator=generator)
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 32, 32, generator=generator))
    return model.eval()
