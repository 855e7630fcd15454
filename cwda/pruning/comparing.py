"""How far a masked and a slim network differ, in their outputs and in what each layer reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from cwda.coupling.places import Marks, Read, kept
from cwda.coupling.verification import Readings
from cwda.errors import CwdaError, TracingError
from cwda.tracing.graph import duplicate, evaluation_mode, reproducible, trace

__all__ = ["compare"]


def compare(
    masked: nn.Module, slim: nn.Module, image: Tensor, reads: Sequence[Read], marked: Marks
) -> float:
    """The largest difference, relative to the largest value of the same output or input.

    In float64, where the networks compute in it. Outputs alone would say little of a network
    whose signal fades from layer to layer, as it may before training.
    """
    dtype = torch.float64 if _runs(masked, image, torch.float64) else None
    largest = _largest(*(_outputs(model, image, dtype) for model in (masked, slim)))
    if not math.isfinite(largest) or not reads:
        return largest
    try:
        seen = [_seen(model, image, dtype, reads) for model in (masked, slim)]
    except TracingError:  # the slim network takes another way through its code
        return largest
    for read in reads:
        if not all(read.node in copies for copies in seen):
            continue
        index = kept(read.channels, marked).to(image.device)
        wanted = seen[0][read.node].index_select(read.axis, index)
        largest = max(largest, _largest([wanted], [seen[1][read.node]]))
    return largest


def _runs(model: nn.Module, image: Tensor, dtype: torch.dtype) -> bool:
    try:
        _outputs(model, image, dtype)
    except CwdaError:
        raise
    except (RuntimeError, TypeError, ValueError):  # such as where a constant is float32
        return False
    return True


def _outputs(model: nn.Module, image: Tensor, dtype: torch.dtype | None) -> list[Tensor]:
    twin, x = _computing_in(dtype, model, image)
    with evaluation_mode(twin), reproducible(), torch.no_grad():
        return [leaf for leaf in tree_leaves(twin(x)) if isinstance(leaf, Tensor)]


def _computing_in(
    dtype: torch.dtype | None, model: nn.Module, image: Tensor
) -> tuple[nn.Module, Tensor]:
    """A copy of a model, and its input, in another format of numbers or as they are."""
    twin = duplicate(model)
    if dtype is None:
        return twin, image
    return twin.to(dtype), image.to(dtype) if image.is_floating_point() else image


def _largest(first: list[Tensor], second: list[Tensor]) -> float:
    if [x.shape for x in first] != [y.shape for y in second]:
        return float("inf")
    pairs = [(x.double(), y.double()) for x, y in zip(first, second, strict=True) if x.numel()]
    if all(torch.equal(x, y) for x, y in pairs):
        return 0.0
    scale = max(float(x.abs().max()) for x, _ in pairs)
    largest = max(float((x - y).abs().max()) for x, y in pairs)
    return largest / scale if scale else largest


def _seen(
    model: nn.Module, image: Tensor, dtype: torch.dtype | None, reads: Sequence[Read]
) -> dict[str, Tensor]:
    twin, x = _computing_in(dtype, model, image)
    run = _Copies(trace(twin, x), reads)
    with evaluation_mode(twin), reproducible(), torch.no_grad():
        run.run(x)
    return run.seen


class _Copies(Readings):
    """Keeps copies of what layers read."""

    def __init__(self, graph: fx.GraphModule, reads: Sequence[Read]) -> None:
        super().__init__(graph, reads)
        self.seen: dict[str, Tensor] = {}

    def look(self, read: Read, values: Tensor) -> None:
        """Keep a copy."""
        self.seen[read.node] = values.clone()
