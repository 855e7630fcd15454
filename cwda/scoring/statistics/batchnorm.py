"""Scale and shift of the BatchNorm behind a convolution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from cwda.brief import brief
from cwda.scoring.statistics.statistic import OfBatchNorm, register_statistic

__all__ = ["BATCHNORM", "BatchNorm"]


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """Scale gamma and shift beta of each channel; float64, N'."""

    gamma: Tensor
    beta: Tensor

    __repr__ = brief


class _OfBatchNorm(OfBatchNorm[BatchNorm]):
    name = "batchnorm"
    meaning = "scale and shift of the BatchNorm behind the convolution"

    def observe(self, batchnorm: _BatchNorm) -> BatchNorm:
        """Both as they are."""
        return BatchNorm(batchnorm.weight.detach().double(), batchnorm.bias.detach().double())


BATCHNORM = register_statistic(_OfBatchNorm())
