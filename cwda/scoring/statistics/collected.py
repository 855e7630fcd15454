"""What one pass over the data leaves of the layers of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.scoring.statistics.statistic import NEEDS

__all__ = ["Collected", "LayerStatistics"]


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

    def why_not(self, need: str) -> str:
        """Why a statistic does not exist."""
        unknown = (
            f"no {need} known: give the nn.Module and data=..., and say needs={need!r} where "
            "the criterion is defined"
        )
        return self.missing.get(need, unknown)


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
    """

    layers: Mapping[str, LayerStatistics]
    needs: frozenset[str]
    images: int = 0
    batches: int = 0

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
