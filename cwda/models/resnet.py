"""Residual networks for 32 x 32 images (He et al. 2016, section 4.2).

The family has 6n + 2 layers: one stem convolution, three stages of n basic blocks
with 16, 32 and 64 filters, and one linear layer. Where a stage begins, the shortcut has no
parameters (option A of the paper: the identity subsampled by two and padded with zero
channels) or is a 1 x 1 convolution (option B). Public checkpoints name the parts in several
ways, so names are a part of a network's plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cwda.brief import brief
from cwda.errors import CwdaError

__all__ = [
    "DEPTHS",
    "FOUR_STAGES",
    "INITIALISATIONS",
    "Block",
    "CifarResNet",
    "Convolution",
    "Names",
    "ResNetPlan",
    "Shortcut",
    "cifar_resnet",
    "cifar_resnet_4",
    "initialise",
]

DEPTHS = (20, 32, 44, 56, 110)

INITIALISATIONS = ("kaiming_normal", "kaiming_uniform", "orthogonal")


Shortcut = Literal["padding", "projection", "none"]


@dataclass(frozen=True)
class Convolution:
    """Sizes of a convolution that keeps the image's size, or divides it by the stride."""

    inputs: int
    filters: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    bias: bool = False

    def module(self) -> nn.Conv2d:
        """The layer, with PyTorch's default initial weights."""
        return nn.Conv2d(
            self.inputs,
            self.filters,
            self.kernel,
            self.stride,
            padding=self.kernel // 2,
            groups=self.groups,
            bias=self.bias,
        )


@dataclass(frozen=True)
class Block:
    """Convolutions on the residual path, and the one on the shortcut where there is one."""

    path: tuple[Convolution, ...]
    projection: Convolution | None = None


@dataclass(frozen=True)
class Names:
    """What a network calls its parts; counted names are templates, filled with 1, 2, ..."""

    stem: tuple[str, str] = ("conv1", "bn1")
    stage: str = "layer{}"
    path: tuple[tuple[str, str], ...] = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    projection: tuple[str, str] = ("shortcut.0", "shortcut.1")
    head: str = "linear"
    first_stage: int = 1

    def of_stage(self, index: int) -> str:
        """Name of a stage, counted from 0."""
        return self.stage.format(index + self.first_stage)


@dataclass(frozen=True)
class ResNetPlan:
    """Sizes and names of a residual network for small images.

    Attributes
    ----------
    stem : Convolution
    stages : tuple of tuple of Block
    num_classes : int
    shortcut : {"padding", "projection", "none"}
        What replaces the identity in a block that changes the size: the input subsampled and
        padded with zero channels, or a 1 x 1 convolution; "none" if no block has any shortcut.
    names : Names
    """

    stem: Convolution
    stages: tuple[tuple[Block, ...], ...]
    num_classes: int
    shortcut: Shortcut = "padding"
    names: Names = field(default_factory=Names)

    __repr__ = brief

    @property
    def depth(self) -> int:
        """Number of layers with weights, those on shortcuts not counted."""
        return 2 + sum(len(block.path) for stage in self.stages for block in stage)


class ResidualBlock(nn.Module):
    """Convolutions with BatchNorm, and a shortcut past them."""

    def __init__(self, block: Block, shortcut: Shortcut, names: Names) -> None:
        super().__init__()
        self._pairs = names.path[: len(block.path)]
        for (convolution, norm), sizes in zip(self._pairs, block.path, strict=True):
            _attach(self, convolution, sizes.module())
            _attach(self, norm, nn.BatchNorm2d(sizes.filters))
        self._projection = names.projection if block.projection is not None else None
        if block.projection is not None:
            _attach(self, names.projection[0], block.projection.module())
            _attach(self, names.projection[1], nn.BatchNorm2d(block.projection.filters))
        self._residual = shortcut != "none"
        self._stride = block.path[0].stride if len(block.path) < 3 else block.path[1].stride
        self._extra_channels = block.path[-1].filters - block.path[0].inputs

    def _shortcut(self, x: Tensor) -> Tensor:
        if self._projection is not None:
            convolution, norm = map(self.get_submodule, self._projection)
            projected: Tensor = norm(convolution(x))
            return projected
        if self._stride == 1 and self._extra_channels == 0:
            return x
        before = self._extra_channels // 2
        after = self._extra_channels - before
        return F.pad(x[:, :, :: self._stride, :: self._stride], (0, 0, 0, 0, before, after))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for index, (convolution, norm) in enumerate(self._pairs):
            y = F.relu(y) if index else y
            y = self.get_submodule(norm)(self.get_submodule(convolution)(y))
        return F.relu(y + self._shortcut(x) if self._residual else y)


class CifarResNet(nn.Module):
    """A residual network for images of 32 x 32 pixels: no pooling before the last layer.

    Parameters
    ----------
    plan : ResNetPlan
        Its sizes and the names of its parts; see `cifar_resnet` for the usual ones.
    """

    def __init__(self, plan: ResNetPlan) -> None:
        super().__init__()
        self.plan = plan
        _attach(self, plan.names.stem[0], plan.stem.module())
        _attach(self, plan.names.stem[1], nn.BatchNorm2d(plan.stem.filters))
        for index, stage in enumerate(plan.stages):
            blocks = (ResidualBlock(block, plan.shortcut, plan.names) for block in stage)
            _attach(self, plan.names.of_stage(index), nn.Sequential(*blocks))
        last = plan.stages[-1][-1].path[-1].filters
        _attach(self, plan.names.head, nn.Linear(last, plan.num_classes))

    def forward(self, x: Tensor) -> Tensor:
        names = self.plan.names
        convolution, norm = map(self.get_submodule, names.stem)
        x = F.relu(norm(convolution(x)))
        for index in range(len(self.plan.stages)):
            x = self.get_submodule(names.of_stage(index))(x)
        logits: Tensor = self.get_submodule(names.head)(x.mean(dim=(2, 3)))
        return logits


def _attach(module: nn.Module, name: str, part: nn.Module) -> None:
    """Give a module a part of a dotted name; containers on the way are made."""
    *path, last = name.split(".")
    for step in path:
        if step not in dict(module.named_children()):
            module.add_module(step, nn.Module())
        module = module.get_submodule(step)
    module.add_module(last, part)


def cifar_resnet(
    depth: int, num_classes: int = 10, width: int = 16, shortcut: Shortcut = "padding"
) -> CifarResNet:
    """Build the ResNet of He et al. (2016, section 4.2) of a given depth.

    Parameters
    ----------
    depth : int
        Number of layers with weights, 6n + 2 for a whole n of at least 1; the
        published ones are 20, 32, 44, 56 and 110.
    num_classes : int
        Number of classes.
    width : int
        Filters of the first stage (16 in the paper); the second and third stage have two and
        four times as many.
    shortcut : {"padding", "projection", "none"}
        Where a stage begins: the input padded with zero channels (option A of the paper), or a
        1 x 1 convolution with BatchNorm (option B). "none": a plain network.

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
    >>> sum(p.numel() for p in cifar_resnet(20, 100, shortcut="projection").parameters())
    278324
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"depth must be 6n + 2 with n >= 1 (such as 20, 32, 56), not {depth}")
    stages = _stages(width, [(depth - 2) // 6] * 3, shortcut, bottleneck=False)
    return _built(ResNetPlan(Convolution(3, width), stages, num_classes, shortcut))


#: Blocks of each stage of the four-stage networks, and whether they are bottlenecks.
FOUR_STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
}


def cifar_resnet_4(depth: int, num_classes: int = 10, width: int = 64) -> CifarResNet:
    """Build ResNet-18, 34 or 50 for 32 x 32 images: ImageNet's stages behind a 3 x 3 stem.

    There is no pooling behind the stem, and stages that change the number of channels begin
    with a 1 x 1 convolution on the shortcut.

    Examples
    --------
    >>> from cwda.models.resnet import cifar_resnet_4
    >>> sum(p.numel() for p in cifar_resnet_4(18).parameters())
    11173962
    """
    counts, bottleneck = FOUR_STAGES[depth]
    stages = _stages(width, counts, "projection", bottleneck)
    return _built(ResNetPlan(Convolution(3, width), stages, num_classes, "projection"))


def _built(plan: ResNetPlan) -> CifarResNet:
    # Layers draw initial weights from the global generator; its state is given back.
    with torch.random.fork_rng(devices=[]):
        return CifarResNet(plan)


def _stages(
    width: int, counts: Sequence[int], shortcut: Shortcut, bottleneck: bool
) -> tuple[tuple[Block, ...], ...]:
    stages: list[tuple[Block, ...]] = []
    inputs = width
    for index, count in enumerate(counts):
        filters, blocks = width << index, []
        for position in range(count):
            stride = 2 if index and position == 0 else 1
            blocks.append(_block(inputs, filters, stride, shortcut, bottleneck))
            inputs = blocks[-1].path[-1].filters
        stages.append(tuple(blocks))
    return tuple(stages)


def _block(inputs: int, filters: int, stride: int, shortcut: Shortcut, bottleneck: bool) -> Block:
    path: tuple[Convolution, ...] = (
        Convolution(inputs, filters, 3, stride),
        Convolution(filters, filters),
    )
    if bottleneck:
        path = (
            Convolution(inputs, filters, 1),
            Convolution(filters, filters, 3, stride),
            Convolution(filters, 4 * filters, 1),
        )
    changed = stride > 1 or path[-1].filters != inputs
    projected = shortcut == "projection" and changed
    projection = Convolution(inputs, path[-1].filters, 1, stride) if projected else None
    return Block(path, projection)


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
    CwdaError
        If the scheme is unknown.
    """
    if scheme not in INITIALISATIONS:
        raise CwdaError(
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
