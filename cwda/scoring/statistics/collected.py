"""What one pass over the data leaves of the layers of a model."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.layers import ConvLayer
from cwda.scoring.statistics.statistic import NEEDS

__all__ = ["PARTS", "Collected", "LayerStatistics", "Part", "parts_of"]

# The statistic that files show by their names.
_BATCHNORM = "batchnorm"

#: Parts into which the batches are dealt, a power of two; each holds sums of its own.
PARTS = 8


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """The statistics of one layer, each also an attribute, such as ``.activations``.

    Attributes
    ----------
    present : mapping of str to Any
        What the statistics in `NEEDS` left, by name; tensors, or records of tensors.
    missing : mapping of str to str
        Why a statistic that was asked for does not exist.
    """

    present: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    __repr__ = brief

    def __getattr__(self, name: str) -> Any:
        """A statistic by its name."""
        present = vars(self).get("present", {})
        if name in present:
            return present[name]
        unknown = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(self.why_not(name) if name in NEEDS else unknown)

    def to(self, device: torch.device) -> LayerStatistics:
        """The same statistics on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def clone(self) -> LayerStatistics:
        """The same statistics in memory of their own."""
        return self._each(Tensor.clone)

    def _each(self, change: Callable[[Tensor], Tensor]) -> LayerStatistics:
        changed = {name: _changed(value, change) for name, value in self.present.items()}
        return LayerStatistics(changed, self.missing)

    def with_batchnorm(self, layer: ConvLayer) -> LayerStatistics:
        """These, with the BatchNorm that the source of a layer shows where no graph was asked."""
        if _BATCHNORM in self.present or _BATCHNORM in self.missing:
            return self
        norm = layer.batchnorm
        if norm is not None and len(norm.gamma) == layer.n_filters:
            return LayerStatistics({**self.present, _BATCHNORM: norm}, self.missing)
        reason = layer.no_batchnorm
        if norm is not None:
            reason = f"its BatchNorm {norm.name} has {len(norm.gamma)} channels"
        return LayerStatistics(self.present, {**self.missing, _BATCHNORM: reason})

    def why_not(self, need: str) -> str:
        """Why a statistic does not exist."""
        unknown = (
            f"no {need} known: give the nn.Module and data=..., and say needs={need!r} where "
            "the criterion is defined"
        )
        return self.missing.get(need, unknown)


@dataclass(frozen=True, eq=False)
class Part:
    """Sums over some of the batches, which together with other parts become statistics.

    Attributes
    ----------
    sums : mapping of (str, str) to Any
        By layer and name of the statistic.
    images, batches : int
        How much data it holds.
    """

    sums: Mapping[tuple[str, str], Any]
    images: int
    batches: int

    __repr__ = brief

    def __add__(self, other: Part) -> Part:
        sums = {key: value + other.sums[key] for key, value in self.sums.items()}
        return Part(sums, self.images + other.images, self.batches + other.batches)


def parts_of(dealt: Iterable[Part]) -> tuple[Part, ...]:
    """As many of these parts as a power of two allows, the others added to them; or none."""
    held = [part for part in dealt if part.batches]
    count = 1 << max(0, len(held).bit_length() - 1)
    if count < 2:
        return ()
    return tuple(functools.reduce(operator.add, held[i::count]) for i in range(count))


@dataclass(frozen=True, eq=False)
class Collected:
    """The statistics of all layers of a model, by the path of the convolution.

    Attributes
    ----------
    layers : mapping of str to LayerStatistics
        In the order of the model.
    needs : frozenset of str
        Names of what was collected.
    images, batches : int
        How much data was seen.
    parts : tuple of Part
        The same data in 2, 4 or 8 parts of whole batches, dealt in turn: batch b is in part b
        modulo 8. None where the data came in one batch.
    """

    layers: Mapping[str, LayerStatistics] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    images: int = 0
    batches: int = 0
    parts: tuple[Part, ...] = ()

    @cached_property
    def halves(self) -> tuple[Collected, Collected] | None:
        """The statistics of every other batch, and of those between; None without parts."""
        if not self.parts:
            return None
        first, second = self.splits[0]
        return self._joined(first), self._joined(second)

    @property
    def splits(self) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
        """Ways to split the parts into two halves, any two of which cross evenly.

        The rows of a Hadamard matrix: 1, 3 or 7 splits of 2, 4 or 8 parts.
        """
        count = len(self.parts)
        sides = [
            [[i for i in range(count) if (i & s).bit_count() % 2 == side] for side in (0, 1)]
            for s in range(1, count)
        ]
        return tuple((tuple(first), tuple(second)) for first, second in sides)

    def layer_of_parts(self, layer: str, chosen: Iterable[int]) -> LayerStatistics:
        """The statistics of one layer on the images of some parts."""
        whole, parts = self.layers[layer], [self.parts[i] for i in chosen]
        present = dict(whole.present)
        for name in present:
            if all((layer, name) in part.sums for part in parts):
                sums = functools.reduce(operator.add, (part.sums[layer, name] for part in parts))
                present[name] = NEEDS[name].finish(sums, sum(part.images for part in parts))
        return LayerStatistics(present, whole.missing)

    def _joined(self, chosen: tuple[int, ...]) -> Collected:
        parts = [self.parts[i] for i in chosen]
        return Collected(
            {layer: self.layer_of_parts(layer, chosen) for layer in self.layers},
            self.needs,
            sum(part.images for part in parts),
            sum(part.batches for part in parts),
        )

    def __repr__(self) -> str:
        names = ", ".join(name for name in NEEDS if name in self.needs)
        return f"Collected({len(self.layers)} layers, {self.images} images: {names})"


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, or a record with its tensors, changed."""
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
        return replace(value, **{name: _changed(part, change) for name, part in parts.items()})
    return value
