"""How far a masked and a slim network differ, in their outputs and in what each layer reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from cwda.coupling.places import Marks, Read, kept
from cwda.coupling.verification import Readings
from cwda.errors import CwdaError, TracingError
from cwda.tracing.copies import duplicate
from cwda.tracing.graph import evaluation_mode, reproducible, trace

__all__ = ["compare", "worst"]


def compare(
    masked: nn.Module,
    slim: nn.Module,
    images: Sequence[Tensor],
    reads: Sequence[Read],
    marked: Marks,
) -> float:
    """The largest difference, relative to the largest value of the same output or input.

    In float64, where the networks compute in it. Outputs alone would say little of a network
    whose signal fades from layer to layer, as it may before training. The images have one shape.
    """
    dtype = torch.float64 if _runs(masked, images[0], torch.float64) else None
    inputs = [_number_format(image, dtype) for image in images]
    twins = [_computing_in(dtype, model) for model in (masked, slim)]
    largest = worst(_largest(*(_outputs(twin, x) for twin in twins)) for x in inputs)
    if not math.isfinite(largest) or not reads:
        return largest
    try:
        one, other = (_Graph(twin, inputs[0]) for twin in twins)
        seen = [(one.seen(x, reads), other.seen(x, reads)) for x in inputs]
    except TracingError:  # the slim network takes another way through its code
        return largest
    return worst([largest, *(_unlike(wanted, found, reads, marked) for wanted, found in seen)])


def worst(values: Iterable[float]) -> float:
    """The largest value, 0 of none; NaN where one is NaN, wherever it stands.

    Examples
    --------
    >>> worst([2.0, float("nan"), 1.0])
    nan
    """
    values = [*values]
    return math.nan if any(map(math.isnan, values)) else max(values, default=0.0)


def _runs(model: nn.Module, image: Tensor, dtype: torch.dtype) -> bool:
    try:
        _outputs(_computing_in(dtype, model), _number_format(image, dtype))
    except CwdaError:
        raise
    except (RuntimeError, TypeError, ValueError):  # such as where a constant is float32
        return False
    return True


def _outputs(twin: nn.Module, x: Tensor) -> list[Tensor]:
    with evaluation_mode(twin), reproducible(), torch.no_grad():
        return [leaf for leaf in tree_leaves(twin(x)) if isinstance(leaf, Tensor)]


def _computing_in(dtype: torch.dtype | None, model: nn.Module) -> nn.Module:
    """A copy of a model in another format of numbers or as it is."""
    twin = duplicate(model)
    return twin if dtype is None else twin.to(dtype)


def _number_format(image: Tensor, dtype: torch.dtype | None) -> Tensor:
    return image if dtype is None or not image.is_floating_point() else image.to(dtype)


def _unlike(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], reads: Sequence[Read], marked: Marks
) -> float:
    """The largest difference of what layers read, of those that run in both networks."""
    differences = []
    for read in reads:
        if read.node in wanted and read.node in found:
            values = wanted[read.node]
            index = kept(read.channels, marked).to(values.device)
            kept_values = values.index_select(read.axis, index)
            differences.append(_largest([kept_values], [found[read.node]]))
    return worst(differences)


def _largest(first: list[Tensor], second: list[Tensor]) -> float:
    if [x.shape for x in first] != [y.shape for y in second]:
        return float("inf")
    pairs = [(x.double(), y.double()) for x, y in zip(first, second, strict=True) if x.numel()]
    if all(torch.equal(x, y) for x, y in pairs):
        return 0.0
    scale = worst(float(x.abs().max()) for x, _ in pairs)
    largest = worst(float((x - y).abs().max()) for x, y in pairs)
    return largest / scale if scale else largest


class _Graph:
    """A network as a graph, of which it can be seen what its layers read."""

    def __init__(self, twin: nn.Module, image: Tensor) -> None:
        self._twin, self._graph = twin, trace(twin, image)

    def seen(self, x: Tensor, reads: Sequence[Read]) -> dict[str, Tensor]:
        run = _Copies(self._graph, reads)
        with evaluation_mode(self._twin), reproducible(), torch.no_grad():
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
