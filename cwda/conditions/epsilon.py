"""Condition 4: epsilon, the covariance inside the blocks, is small."""

from __future__ import annotations

from cwda.conditions.covariance import energy_shares
from cwda.conditions.definition import Condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["EPSILON"]


def _inapplicable(layer: ConvLayer) -> str:
    return "kernel of one position: blocks have no off-diagonal" if layer.kernel_size == 1 else ""


def _measure(space: Workspace) -> Measurement:
    kernel = space.kernels.within
    assert kernel is not None
    scale = space.layer.dim / (space.layer.kernel_size - 1)
    return space.second_order(kernel, scale, centred=True, details=energy_shares(space))


EPSILON = Condition(
    name="epsilon",
    null_hypothesis="weights of one input channel are uncorrelated",
    effect="RMS covariance inside the blocks over mean variance",
    margin=0.3,
    method="U-centred U-statistic within channels, skewness-matched chi-square; "
    "Wilson-jackknife interval",
    inapplicable=_inapplicable,
    measure=_measure,
)
