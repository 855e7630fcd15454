"""Scale and shift of the BatchNorm behind a convolution."""

from __future__ import annotations

from torch.nn.modules.batchnorm import _BatchNorm

from cwda.layers import BatchNorm
from cwda.scoring.statistics.statistic import OfBatchNorm, register_statistic

__all__ = ["BATCHNORM"]


class _OfBatchNorm(OfBatchNorm[BatchNorm]):
    name = "batchnorm"
    meaning = "scale and shift of the BatchNorm behind the convolution"

    def observe(self, batchnorm: _BatchNorm) -> BatchNorm:
        """Both as they are."""
        weight, bias = batchnorm.weight.detach(), batchnorm.bias.detach()
        return BatchNorm(weight.double(), bias.double(), stored=weight.dtype)


BATCHNORM = register_statistic(_OfBatchNorm())
