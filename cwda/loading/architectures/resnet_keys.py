"""The plan of a residual network for small images, from the keys and shapes of its weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from cwda.containers.tensors import NamedTensor
from cwda.models.resnet import Block, Convolution, Names, ResNetPlan, Shortcut

__all__ = ["is_stem", "resnet_plan"]

State = Mapping[str, NamedTensor]

_NUMBERED = (("conv_1", "bn_1"), ("conv_2", "bn_2"), ("conv_3", "bn_3"))
_LISTED = tuple((f"residual_function.{i}", f"residual_function.{i + 1}") for i in (0, 3, 6))
#: How public code names the parts.
_LAYOUTS = (
    Names(),
    Names(stem=("conv_1", "bn_1"), stage="stage_{}", path=_NUMBERED),
    Names(stem=("conv1.0", "conv1.1"), stage="conv{}_x", path=_LISTED, first_stage=2),
)
_PROJECTIONS = ("shortcut", "downsample", "skip", "proj")
_HEADS = ("linear", "fc", "classifier", "head", "output")

# More blocks than any network has.
_MAX_BLOCKS = 1_000
# With no shortcuts the means that BatchNorm has stored follow from the layers before to a few
# percent; with shortcuts they are off by 40 to 90 % (docs/extraction.md).
_FOLLOWS = 0.25
_SIDE = 32


def is_stem(key: str) -> bool:
    """Whether a key may be the first one of a network, behind a prefix."""
    return any(key.endswith(f"{layout.stem[0]}.weight") for layout in _LAYOUTS)


def resnet_plan(state: State, shortcut: Shortcut | None = None) -> ResNetPlan | None:
    """The plan of the network that the keys describe; None if they describe none.

    Parameters
    ----------
    state : mapping
        Tensors by their keys, without prefixes.
    shortcut : {"padding", "none"}, optional
        What a network without convolutions on its shortcuts has there. By default the running
        statistics of BatchNorm tell.
    """
    for layout in _LAYOUTS:
        names = _named(state, layout)
        if names is not None:
            return _plan(state, names, shortcut)
    return None


def _named(state: State, layout: Names) -> Names | None:
    """The layout with the names of shortcuts and head that the state has."""
    if f"{layout.stem[0]}.weight" not in state or f"{layout.stem[1]}.running_mean" not in state:
        return None
    heads = [name for name in _HEADS if len(_shape(state, name)) == 2]
    if not heads:
        return None
    for name in _PROJECTIONS:
        ending = f".{name}.0.weight"
        if any(key.endswith(ending) for key in state):
            return replace(layout, head=heads[0], projection=(f"{name}.0", f"{name}.1"))
    return replace(layout, head=heads[0])


def _plan(state: State, names: Names, shortcut: Shortcut | None) -> ResNetPlan | None:
    stem = _convolution(state, names.stem[0], 1)
    stages: list[tuple[Block, ...]] = []
    while blocks := tuple(_blocks(state, names, len(stages))):
        stages.append(blocks)
    if stem is None or stem.kernel != 3 or len(stages) not in (3, 4) or not _chained(stem, stages):
        return None
    # Networks for ImageNet whose stem was made 3 x 3 have these names, with and without pooling.
    if len(stages) == 4 and names.projection[0] == "downsample.0" and shortcut is None:
        return None
    classes = _shape(state, names.head)[0]
    projected = any(block.projection for stage in stages for block in stage)
    kind: Shortcut = "projection" if projected else shortcut or "padding"
    if not projected and shortcut is None and _follows_without_shortcuts(state, names, stages):
        kind = "none"
    return ResNetPlan(stem, tuple(stages), classes, kind, names)


def _blocks(state: State, names: Names, stage: int) -> Iterator[Block]:
    for index in range(_MAX_BLOCKS):
        prefix = f"{names.of_stage(stage)}.{index}."
        stride = 2 if stage and index == 0 else 1
        present = [name for name, _ in names.path if _shape(state, prefix + name)]
        if len(present) < 2:
            return
        strides = [stride, 1] if len(present) == 2 else [1, stride, 1]
        path = [
            _convolution(state, prefix + name, convolution)
            for name, convolution in zip(present, strides, strict=True)
        ]
        projection = _convolution(state, prefix + names.projection[0], stride)
        if any(convolution is None for convolution in path):
            return
        yield Block(tuple(part for part in path if part is not None), projection)


def _convolution(state: State, name: str, stride: int) -> Convolution | None:
    """The convolution of a name; its groups are settled where the block is known."""
    shape = _shape(state, name)
    if len(shape) != 4 or 0 in shape or shape[2] != shape[3] or shape[2] % 2 == 0:
        return None
    filters, inputs, kernel, _ = shape
    return Convolution(inputs, filters, kernel, stride, bias=f"{name}.bias" in state)


def _chained(stem: Convolution, stages: list[tuple[Block, ...]]) -> bool:
    """Whether channels fit from layer to layer; groups are set where a filter sees a part."""
    inputs = stem.filters
    for number, stage in enumerate(stages):
        blocks = []
        for block in stage:
            fitted = _fitted(block, inputs)
            if fitted is None:
                return False
            blocks.append(fitted)
            inputs = fitted.path[-1].filters
        stages[number] = tuple(blocks)
    return True


def _fitted(block: Block, inputs: int) -> Block | None:
    """The block with its groups; None if it cannot follow `inputs` channels."""
    path, here = [], inputs
    for convolution in block.path:
        if here % convolution.inputs or convolution.filters % (here // convolution.inputs):
            return None
        path.append(replace(convolution, inputs=here, groups=here // convolution.inputs))
        here = convolution.filters
    projection = block.projection
    if projection is not None and (projection.kernel, projection.inputs) != (1, inputs):
        return None
    if projection is not None and projection.filters != here:
        return None
    if projection is None and here < inputs:
        return None
    return Block(tuple(path), projection)


def _follows_without_shortcuts(state: State, names: Names, stages: list[tuple[Block, ...]]) -> bool:
    """Whether the stored means are those of a network that has no shortcuts.

    BatchNorm leaves channel c with mean beta_c and standard deviation |gamma_c|. Without a
    shortcut the next block sees the ReLU of that, whose mean is known if it is near normal, and
    the running mean behind the next convolution is that mean times the sum of its weights.
    """
    predicted, stored = [], []
    flat = [
        (number, f"{names.of_stage(number)}.{index}.", block)
        for number, stage in enumerate(stages)
        for index, block in enumerate(stage)
    ]
    for (_, before, previous), (number, after, block) in itertools.pairwise(flat):
        (convolution, norm), last = names.path[0], names.path[len(previous.path) - 1][1]
        keys = f"{before}{last}.weight", f"{before}{last}.bias", f"{after}{norm}.running_mean"
        if block.path[0].groups > 1 or not all(key in state for key in keys):
            return False
        scale, shift, mean = (state[key].read().double() for key in keys)
        weight = state[f"{after}{convolution}.weight"].read().double()
        inside = _inside(block.path[0], _SIDE >> number)
        predicted.append((weight * inside).sum((2, 3)) @ _mean_of_relu(shift, scale.abs()))
        stored.append(mean)
    if not stored:
        return False
    means = torch.cat(stored)
    error = torch.linalg.vector_norm(torch.cat(predicted) - means)
    return bool(error < _FOLLOWS * torch.linalg.vector_norm(means))


def _inside(convolution: Convolution, side: int) -> Tensor:
    """At how many of the positions a weight of the kernel sees the image, not its padding.

    `side` is the size of the output in pixels.
    """
    reach = convolution.kernel // 2
    seen = torch.arange(side) * convolution.stride
    at = seen + torch.arange(-reach, reach + 1).unsqueeze(1)
    share = ((at >= 0) & (at < side * convolution.stride)).double().mean(1)
    return share.outer(share)


def _mean_of_relu(mean: Tensor, deviation: Tensor) -> Tensor:
    """Mean of max(0, X), X normal."""
    ratio = mean / deviation.clamp_min(1e-30)
    density = torch.exp(-ratio.square() / 2) / math.sqrt(2 * math.pi)
    mean_above: Tensor = mean * torch.special.ndtr(ratio) + deviation * density
    return mean_above


def _shape(state: State, name: str) -> tuple[int, ...]:
    tensor = state.get(f"{name}.weight")
    return () if tensor is None else tensor.shape
