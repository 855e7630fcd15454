"""Forward passes as people write them: small networks for each way to treat channels."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

IMAGE = (1, 3, 12, 12)


class Between(nn.Module):
    """An operation between two convolutions: what it does to the 8 filters of `first`."""

    def __init__(self, operation, after=8, **parts):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(after, 6, 3)
        self.last = nn.Conv2d(6, 2, 1)
        for name, part in parts.items():
            setattr(self, name, part)
        self.operation = operation

    def forward(self, x):
        return self.last(F.relu(self.second(self.operation(self, F.relu(self.first(x))))))


class NormedConv(nn.Conv2d):
    """As detectron2's: a convolution with its own norm and activation."""

    def __init__(self, *sizes, norm=None, activation=None, **options):
        super().__init__(*sizes, **options)
        self.norm, self.activation = norm, activation

    def forward(self, x):
        x = super().forward(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activation is None else self.activation(x)


class Lora(nn.Conv2d):
    """A branch that computes 0 until it is trained."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.down = nn.Conv2d(self.in_channels, 2, self.kernel_size, bias=False)
        self.up = nn.Conv2d(2, self.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return super().forward(x) + self.up(self.down(x))


class Gain(nn.Conv2d):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 1.3))

    def forward(self, x):
        return F.conv2d(x, self.weight * self.gain, self.bias)


class Standardised(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)


class CoordConv(nn.Conv2d):
    def __init__(self, inputs, outputs, kernel):
        super().__init__(inputs + 2, outputs, kernel)

    def forward(self, x):
        b, _, h, w = x.shape
        return super().forward(torch.cat([x, torch.ones(b, 2, h, w).to(x)], 1))


class ActiveNorm(nn.BatchNorm2d):
    def __init__(self, channels, activation):
        super().__init__(channels)
        self.activation = activation

    def forward(self, x):
        return self.activation(super().forward(x))


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        return x * self.gate(self.pool(x).view(b, c)).view(b, c, 1, 1).expand_as(x)


class C2f(nn.Module):
    """As in YOLOv8."""

    def __init__(self):
        super().__init__()
        self.enter = nn.Conv2d(8, 8, 1)
        self.inner = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.leave = nn.Conv2d(16, 8, 1)

    def forward(self, x):
        parts = list(self.enter(x).chunk(2, 1))
        parts.extend(inner(parts[-1]) for inner in self.inner)
        return self.leave(torch.cat(parts, 1))


class Tied(nn.Module):
    """Layers of which one has the weight of another."""

    def __init__(self, kind=nn.Conv2d):
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 8, 3), kind(8, 8, 3), kind(8, 8, 3)
        self.last = nn.Conv2d(8, 2, 1)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.last(F.relu(self.two(F.relu(self.one(F.relu(self.stem(x)))))))


class TiedNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 2, 1)
        self.m, self.n = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.n.weight = self.m.weight

    def forward(self, x):
        return self.last(self.n(self.b(F.relu(self.m(self.a(x))))))


class Decoder(nn.Module):
    """The decoder has the encoder's weights, as a layer and as a function."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), nn.Conv2d(3, 2, 1)
        self.up = nn.ConvTranspose2d(6, 8, 3)
        self.up.weight = self.b.weight

    def forward(self, x):
        h = F.relu(self.up(F.relu(self.b(F.relu(self.a(x))))))
        return self.last(F.conv_transpose2d(h, self.a.weight))


class Optional(Between):
    """Arguments that have defaults, and questions about shapes."""

    def forward(self, x, mask=None, *rest, features=False, repeats=2, **options):
        if not isinstance(x, torch.Tensor):
            raise TypeError("no tensor")
        y = self.first(x)
        assert y.dim() == 4
        for _ in range(repeats):
            y = F.relu(y) if y.shape[-1] > 4 else y
        if features:
            return y
        return {"out": self.last(self.second(y if mask is None else y * mask)), "n": 3}


class Padded(nn.Module):
    """A shortcut that pads channels; dropout, an auxiliary head, and a layer that nothing uses."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 16, 3, 2, 1)
        self.last, self.aux, self.unused = nn.Linear(16, 4), nn.Linear(3, 2), nn.Conv2d(3, 3, 1)

    def forward(self, x, aux=0, features=False):
        y = self.first(x)
        y = self.second(y) + F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        y = y.mean((2, 3))
        if features:
            return y
        y = self.last(F.dropout(y, 0.5, self.training))
        return (y, self.aux(x.mean((2, 3)))) if aux else y


class PaddedBlock(nn.Module):
    """Two paddings, of the plane and of the channels by sizes of its layers, and one inside."""

    def __init__(self, before, after, inner=None):
        super().__init__()
        self.a, self.b = nn.Conv2d(before, after, 3), nn.Conv2d(after, after, 1)
        self.inner = nn.Identity() if inner is None else inner
        self.more = after - before

    def forward(self, x):
        y = F.relu(self.a(F.pad(self.inner(x), (1, 1, 1, 1))))
        wide = F.pad(x, [0, 0, 0, 0, 0, self.more], mode="constant", value=0.0)
        return self.b(y) + F.pad(input=wide, pad=(0, 0, 0, 0, 0, 0))


def copied(change):
    """A forward pass that changes a copy in place and goes on with it."""

    def forward(_, x):
        y = x * 1
        change(y)
        return y

    return forward


def hooked():
    model = Between(lambda m, x: x)
    model.first.register_forward_hook(lambda *_: F.relu(_[2]))
    return model


def _augmented(m, x):
    y = z = x * 1
    y *= 2
    return z


def _filled(y):
    y[..., 0] = 0


def _overwritten(m, x):
    y = torch.empty_like(x)
    y[:] = x
    return y


def _written_out(m, x):
    y = torch.empty_like(x)
    torch.mul(x, 2, out=y)
    return y


def _shuffled(m, x):
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, c, h, w)


def _slices(m, x):
    return torch.cat(
        [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1
    )


def _residual(factor):
    return lambda m, x: x + factor(m) * F.relu(m.inner(x))


def parts(**given):
    """Parts by name, each made when the model is."""
    return {name: make() for name, make in given.items()}


def between(operation, after=8, **makers):
    return lambda: Between(operation, after, **parts(**makers))


def layer(make, after=8):
    return between(lambda m, x: m.layer(x), after, layer=make)


def _inner():
    return nn.Conv2d(8, 8, 3, padding=1)


def _halves(x):
    one, other = x[: len(x) // 2], x[len(x) // 2 :]
    return one + 2 * other


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def _parametrised(make, name):
    def made():
        found = make()
        nn.utils.parametrize.register_parametrization(found, name, Doubled())
        return found

    return made


#: Every filter but those that reach the output can be pruned, and removed.
FOLLOWED = {
    "own norm": layer(lambda: NormedConv(8, 8, 3, norm=nn.BatchNorm2d(8), activation=F.relu)),
    "lora": layer(lambda: Lora(8, 8, 3)),
    "gain": layer(lambda: Gain(8, 8, 3)),
    "coordinates": layer(lambda: CoordConv(8, 8, 3)),
    "active norm": layer(lambda: ActiveNorm(8, F.silu)),
    "hook": hooked,
    "frozen norm": layer(lambda: FrozenBatchNorm2d(8)),
    "batchnorm without parameters": layer(lambda: nn.BatchNorm2d(8, affine=False)),
    "batchnorm of the batch": layer(lambda: nn.BatchNorm2d(8, track_running_stats=False)),
    "instancenorm": layer(lambda: nn.InstanceNorm2d(8)),
    "instancenorm with averages": layer(lambda: nn.InstanceNorm2d(8, track_running_stats=True)),
    "slopes": layer(lambda: nn.PReLU(8)),
    "one slope": layer(lambda: nn.PReLU()),
    "depthwise": layer(lambda: nn.Conv2d(8, 8, 3, groups=8)),
    "groups": layer(lambda: nn.Conv2d(8, 8, 3, groups=2)),
    "transposed": layer(lambda: nn.ConvTranspose2d(8, 8, 2, 2)),
    "squeeze and excite": layer(SqueezeExcite),
    "chunks": layer(C2f),
    "channel shuffle": between(_shuffled),
    "pixel shuffle": layer(lambda: nn.PixelShuffle(2), 2),
    "slices of the plane": between(_slices, 32),
    "rezero": between(
        _residual(lambda m: m.scale), inner=_inner, scale=lambda: nn.Parameter(torch.tensor(0.0))
    ),
    "layer scale": between(
        _residual(lambda m: m.scale.view(1, -1, 1, 1)),
        inner=_inner,
        scale=lambda: nn.Parameter(torch.full((8,), 1e-6)),
    ),
    "functions": between(lambda m, x: F.conv2d(x, m.inner.weight, padding=1), inner=_inner),
    "raw weight": between(
        lambda m, x: x + F.conv2d(x, m.weight, padding=1),
        weight=lambda: nn.Parameter(torch.ones(8, 8, 3, 3)),
    ),
    "where": between(lambda m, x: torch.where(x > 0.2, x, 0.1 * x)),
    "augmented alias": between(_augmented),
    "in-place relu": between(copied(lambda y: F.relu(y, inplace=True))),
    "part of the plane filled": between(copied(_filled)),
    "overwritten": between(_overwritten),
    "out=": between(_written_out),
    "permuted view": between(copied(lambda y: y.permute(0, 2, 3, 1).mul_(2))),
    "tied": Tied,
    "tied subclasses": lambda: Tied(NormedConv),
    "tied norms": TiedNorm,
    "tied decoder": Decoder,
    "shared layers": between(
        lambda m, x: m.norm(m.inner(m.norm(m.inner(x)))),
        inner=_inner,
        norm=lambda: nn.BatchNorm2d(8),
    ),
    "optional arguments": lambda: Optional(None),
    "stacked and summed": between(lambda m, x: torch.stack([x, m.inner(x)]).sum(0), inner=_inner),
    "stacked and interleaved": between(
        lambda m, x: torch.stack([x, m.inner(x)], 2).flatten(1, 2), 16, inner=_inner
    ),
    "joined along the batch": between(
        lambda m, x: _halves(torch.cat([x, m.inner(x)], 0)), inner=_inner
    ),
    "joined along the plane": between(lambda m, x: torch.cat([x, m.inner(x)], 2), inner=_inner),
    "gated linear unit": between(
        lambda m, x: F.glu(torch.cat([x, m.inner(x)], 1), 1), inner=_inner
    ),
    "layer of gates": between(lambda m, x: m.gate(x), 4, gate=lambda: nn.GLU(1)),
    "flipped": between(lambda m, x: x.flip(3) + torch.flip(x, [2, 3])),
    "dropout of channels": layer(nn.Dropout2d),
    "blur of as many groups": between(
        lambda m, x: F.conv2d(x, m.kernel, groups=x.shape[1]),
        kernel=lambda: nn.Parameter(torch.ones(8, 1, 3, 3)),
    ),
}


def _aliased_sum(m, x):
    y = z = x * 1
    y += 1
    return z


def _view_sum(y):
    y.view(y.shape[0], -1).add_(1)


def _chunk_sum(y):
    y.chunk(2, 1)[0].add_(1)


def _channels_filled(y):
    y[:, :4] = 0


def _plane_filled(y):
    y[:, :, :2] = 1


def _elements_filled(y):
    y[y > 0.5] = 0


NOT_ZERO = "would not be zero where second reads it"
WRITTEN = "written into the code"
PART = "takes a part of the channels"

#: No filter of `first` can be pruned, and why.
FIXED = {
    "own sigmoid": (layer(lambda: ActiveNorm(8, torch.sigmoid)), NOT_ZERO),
    "own group norm": (
        layer(lambda: NormedConv(8, 8, 3, norm=nn.GroupNorm(2, 8))),
        "enters layer.norm",
    ),
    "standardised weight": (layer(lambda: Standardised(8, 8, 3)), "weights of layer are computed"),
    "clamp_": (between(copied(lambda y: y.clamp_(min=0.1))), NOT_ZERO),
    "sigmoid_": (between(copied(lambda y: torch.sigmoid_(y))), NOT_ZERO),
    "augmented": (between(_aliased_sum), NOT_ZERO),
    "view": (between(copied(_view_sum)), NOT_ZERO),
    "chunk": (between(copied(_chunk_sum)), NOT_ZERO),
    "data": (between(copied(lambda y: y.data.add_(1))), NOT_ZERO),
    "plane filled": (between(copied(_plane_filled)), NOT_ZERO),
    "channels filled": (between(copied(_channels_filled)), PART),
    "elements filled": (between(copied(_elements_filled)), "by the values of others"),
    "split": (between(lambda m, x: torch.cat(x.split([3, 5], 1), 1)), PART),
    "view of a size": (between(lambda m, x: x.view(-1, 8, 10, 10)), WRITTEN),
    "einsum": (between(lambda m, x: torch.einsum("bchw,bchw->bchw", x, x)), "enters einsum"),
    "factor": (between(lambda m, x: x * (x.shape[1] / 8)), "its number of channels enters mul"),
    "mean over channels": (between(lambda m, x: x * x.mean(1, keepdim=True)), "enters mean"),
    "weight as a factor": (between(lambda m, x: x * m.first.weight.mean()), "enters mean"),
    "item": (between(lambda m, x: x * x.mean().item()), "enters mean"),
    "nothing by nothing": (
        between(lambda m, x: x / x.sum((2, 3), keepdim=True)),
        "masked, it is not zero where second reads it",
    ),
    "group norm": (layer(lambda: nn.GroupNorm(2, 8)), "enters layer (GroupNorm)"),
    "computed bias": (layer(_parametrised(_inner, "bias")), "weights are computed"),
    "computed scale": (
        layer(_parametrised(lambda: nn.BatchNorm2d(8), "weight")),
        "weights are computed",
    ),
    "groups written": (
        between(
            lambda m, x: F.conv2d(x, m.kernel, groups=m.count),
            kernel=lambda: nn.Parameter(torch.ones(8, 1, 3, 3)),
            count=lambda: 8,
        ),
        "number of groups as a number",
    ),
    "number asked": (between(lambda m, x: x * 2 if x.shape[1] > 4 else x), "is compared with one"),
    "inputs of the next layer": (
        between(lambda m, x: x / m.second.weight.shape[1]),
        "is asked of second.weight",
    ),
    "flipped channels": (between(lambda m, x: x.flip(1)), PART),
    "stacked with a constant": (
        between(lambda m, x: torch.stack([x, torch.ones(x.shape[0], 8, 10, 10)]).sum(0)),
        "constant with a place",
    ),
}
