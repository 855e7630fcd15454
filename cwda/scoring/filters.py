"""What a criterion sees of a layer: its filters, and their geometry computed once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CriterionError, WeightsError
from cwda.layers import ConvLayer
from cwda.numerics.distances.geometry import Geometry
from cwda.scoring.statistics.one_pass import (
    Activations,
    BatchNorm,
    Gradients,
    ImageGradients,
    LayerStatistics,
)

__all__ = ["Filters"]

T = TypeVar("T")


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
        What a pass over the data left of the layer, for criteria that say what they need.
        `batchnorm`, `activations`, `map_ranks`, `gradients` and `image_gradients` hand it out,
        or raise a CriterionError that says why it is missing.

    Examples
    --------
    >>> import torch
    >>> from cwda.scoring import Filters, l2
    >>> l2(Filters(torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)))
    tensor([5., 1.], dtype=torch.float64)
    """

    values: Tensor
    name: str = "array"
    statistics: LayerStatistics = field(default_factory=LayerStatistics)

    __repr__ = brief

    @classmethod
    def of(
        cls,
        layer: ConvLayer,
        device: torch.device | str = "cpu",
        statistics: LayerStatistics | None = None,
    ) -> Filters:
        """The filters of a layer on a device.

        Raises
        ------
        WeightsError
            If the weights are none, complex or not finite.
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
        known = statistics.to(values.device) if statistics else LayerStatistics()
        return cls(values, layer.name, known)

    @cached_property
    def geometry(self) -> Geometry:
        """Gram matrix, distances and geometric median of the filters."""
        return Geometry(self.values)

    @property
    def batchnorm(self) -> BatchNorm:
        """Scale and shift of the BatchNorm behind the convolution."""
        return self._present(self.statistics.batchnorm, "batchnorm")

    @property
    def activations(self) -> Activations:
        """Averages over the activation behind the BatchNorm."""
        return self._present(self.statistics.activations, "activations")

    @property
    def map_ranks(self) -> Tensor:
        """Mean rank of the feature maps of that activation; float64, N'."""
        return self._present(self.statistics.map_ranks, "map_ranks")

    @property
    def gradients(self) -> Gradients:
        """Gradients of the loss by the weights, batch by batch."""
        return self._present(self.statistics.gradients, "gradients")

    @property
    def image_gradients(self) -> ImageGradients:
        """Gradients of the loss by the weights, image by image."""
        return self._present(self.statistics.image_gradients, "image_gradients")

    def _present(self, statistic: T | None, need: str) -> T:
        if statistic is None:
            raise CriterionError(self.statistics.why_not(need))
        return statistic
