"""What a criterion sees of a layer: its filters, and their geometry computed once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CriterionError, WeightsError
from cwda.filters.distances import distance_sums, geometric_median
from cwda.layers import ConvLayer
from cwda.numerics.distances.geometry import GeometricMedian, Geometry
from cwda.scoring.statistics.collected import LayerStatistics
from cwda.scoring.statistics.statistic import NEEDS
from cwda.typing import Device

__all__ = ["Filters"]


@dataclass(frozen=True, eq=False)
class Filters:
    """The filters of one layer as the rows of a matrix.

    Attributes
    ----------
    values : Tensor
        float64, N' x d, finite: row j is F_j.
    name : str
        Name of the layer.
    statistics : LayerStatistics
        What a pass over the data left of the layer. Each statistic in `cwda.scoring.NEEDS` is an
        attribute, such as ``filters.activations``, or raises a CriterionError that says why it
        is missing.
    layer : ConvLayer or None
        Whose filters these are, if it is known.

    Examples
    --------
    >>> import torch
    >>> from cwda.scoring import Filters
    >>> from cwda.scoring.norms import l2
    >>> l2(Filters(torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)))
    tensor([5., 1.], dtype=torch.float64)
    """

    values: Tensor
    name: str = "array"
    statistics: LayerStatistics = field(default_factory=LayerStatistics)
    layer: ConvLayer | None = None

    __repr__ = brief

    @classmethod
    def of(
        cls,
        layer: ConvLayer,
        device: Device = "cpu",
        statistics: LayerStatistics | None = None,
    ) -> Filters:
        """The filters of a layer on a device.

        Raises
        ------
        WeightsError
            If there are no weights, or they are complex or not finite.
        """
        if layer.n_weights == 0:
            raise WeightsError("no weights")
        if layer.weight.is_complex():
            raise WeightsError("weights are complex, not real numbers")
        values = layer.blocks(device).reshape(layer.n_filters, layer.dim)
        lowest, highest = values.aminmax()
        if not bool(torch.isfinite(lowest) & torch.isfinite(highest)):
            bad = (~values.isfinite()).sum(1)
            raise WeightsError(
                f"{int(bad.sum())} of {layer.n_weights} weights are NaN or infinite, the first "
                f"in filter {int(bad.nonzero()[0])}"
            )
        local = (statistics or LayerStatistics()).with_batchnorm(layer)
        return cls(values, layer.name, local.to(values.device), layer)

    def guest(self) -> Filters:
        """The same for a criterion of the user's: what it changes in place is its own."""
        own = self.statistics.clone()
        return replace(self, values=self.values.clone(), statistics=own, layer=None)

    @cached_property
    def geometry(self) -> Geometry:
        """Gram matrix, distances and geometric median of the filters."""
        return Geometry(self.values)

    @cached_property
    def distance_sums(self) -> Tensor:
        """Sum of the distances of each filter to all others, (n,)."""
        if self.layer is None:
            return self.geometry.distances.sum(1)
        return distance_sums(self.layer, self.values.device, lambda: self.geometry)

    @cached_property
    def median(self) -> GeometricMedian:
        """Their geometric median, or Fermat point."""
        if self.layer is None:
            return self.geometry.median
        return geometric_median(self.layer, self.values.device, lambda: self.geometry)

    def __getattr__(self, name: str) -> Any:
        """A statistic by its name."""
        if name not in NEEDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name not in self.statistics.present:
            raise CriterionError(self.statistics.why_not(name))
        return self.statistics.present[name]
