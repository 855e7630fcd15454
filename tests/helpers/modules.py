"""A model with everything that a pass over the data meets, and the same pass by plain loops."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 3


class Mixed(nn.Module):
    """Residual sum, depthwise and grouped convolutions, with BatchNorm and without."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(6)
        self.stem_act = nn.ReLU(inplace=True)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6, padding_mode="reflect")
        self.depthwise_bn = nn.BatchNorm2d(6)
        self.residual = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.residual_bn = nn.BatchNorm2d(6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2)
        self.plain = nn.Conv2d(4, 5, (3, 1), stride=2, dilation=(2, 1))
        self.pool = nn.MaxPool2d(2)
        self.twice = nn.Conv2d(5, 5, 1)
        self.last = nn.Conv2d(5, 4, 1)
        self.unused = nn.Conv2d(4, 4, 1)
        self.linear = nn.Linear(4, CLASSES)

    def forward(self, x):
        x = self.stem_act(self.stem_bn(self.stem(x)))
        y = F.relu6(self.depthwise_bn(self.depthwise(x)))
        y = self.residual_bn(self.residual(y))
        y += x
        x = F.relu(self.up(F.relu(y)), inplace=True)
        x = F.silu(self.pool(self.plain(x)))
        x = self.last(self.twice(self.twice(x)))
        return self.linear(x.mean(dim=(2, 3)))

    def activations(self, x):
        """The activation that belongs to each convolution, written out once more."""
        found = {}
        x = found["stem"] = F.relu(self.stem_bn(self.stem(x)))
        y = found["depthwise"] = F.relu6(self.depthwise_bn(self.depthwise(x)))
        y = found["residual"] = F.relu(self.residual_bn(self.residual(y)) + x)
        x = found["up"] = F.relu(self.up(y))
        found["plain"] = F.silu(self.pool(self.plain(x)))
        return found


#: Layers whose gradients exist, and those that an activation follows.
DIFFERENTIATED = ("stem", "depthwise", "residual", "up", "plain", "last")
ACTIVATED = ("stem", "depthwise", "residual", "up", "plain")
NORMALISED = ("stem", "depthwise", "residual")


def mixed(seed=0):
    """The model with random weights and running statistics, float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        model = Mixed().double()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
                value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else 0.5 * drawn)
    return model


def images(n=10, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, 12, 10, generator=generator, dtype=dtype)
    return x, torch.randint(0, CLASSES, (n,), generator=generator)


def filters_of(conv, weight):
    """The filters of a weight (or of its gradient) as a list of vectors, one by one."""
    if not conv.transposed:
        return [weight[j].flatten() for j in range(conv.out_channels)]
    found = []
    inputs, outputs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    for group in range(conv.groups):
        for j in range(outputs):
            found.append(weight[group * inputs : (group + 1) * inputs, j].flatten())
    return found


def gradient_filters(model, name, x, y):
    """Filters, and their gradients of the mean loss of a batch."""
    model.eval().zero_grad()
    F.cross_entropy(model(x), y).backward()
    conv = model.get_submodule(name)
    pairs = zip(
        filters_of(conv, conv.weight.detach()), filters_of(conv, conv.weight.grad), strict=True
    )
    return [(w.numpy(), g.numpy()) for w, g in pairs]


def naive_taylor(model, name, x, y, order, batch):
    rows = []
    for at in range(0, len(x), batch):
        found = gradient_filters(model, name, x[at : at + batch], y[at : at + batch])
        rows.append([np.linalg.norm(w * g, order) for w, g in found])
    return np.mean(rows, axis=0)


def naive_obd(model, name, x, y):
    rows = []
    for i in range(len(x)):
        found = gradient_filters(model, name, x[i : i + 1], y[i : i + 1])
        rows.append([(w**2 * g**2).sum() / 2 for w, g in found])
    return np.mean(rows, axis=0)


def naive_entropy(maps):
    scores = []
    for j in range(maps.shape[1]):
        counts, _ = np.histogram([maps[i, j].mean() for i in range(len(maps))], bins=100)
        p = counts[counts > 0] / len(maps)
        scores.append(-(p * np.log(p)).sum())
    return scores


def naive_rank(maps):
    return [
        np.mean([np.linalg.matrix_rank(maps[i, j]) for i in range(len(maps))])
        for j in range(maps.shape[1])
    ]
