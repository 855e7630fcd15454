"""What one pass over the data leaves of each layer: the material of data-based criteria."""

from cwda.scoring.statistics.collect import collect
from cwda.scoring.statistics.collected import Collected
from cwda.scoring.statistics.statistic import (
    NEEDS,
    OfActivation,
    OfBatchNorm,
    OfConvolution,
    OfGradient,
    OfRemoval,
    Statistic,
    register_statistic,
)

__all__ = [
    "NEEDS",
    "Collected",
    "OfActivation",
    "OfBatchNorm",
    "OfConvolution",
    "OfGradient",
    "OfRemoval",
    "Statistic",
    "collect",
    "register_statistic",
]
