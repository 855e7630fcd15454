"""Condition 5: nothing outside the blocks; different input channels do not correlate."""

from __future__ import annotations

from cwda.conditions.covariance import energy_shares
from cwda.conditions.definition import Condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["INDEPENDENCE"]


def _inapplicable(layer: ConvLayer) -> str:
    return "one input channel: there is nothing outside the block" if layer.channels == 1 else ""


def _measure(space: Workspace) -> Measurement:
    kernel = space.kernels.between
    assert kernel is not None
    scale = space.layer.dim / (space.layer.dim - space.layer.kernel_size)
    return space.second_order(kernel, scale, centred=True, details=energy_shares(space))


INDEPENDENCE = Condition(
    name="independence",
    null_hypothesis="weights of different input channels are uncorrelated",
    effect="RMS covariance between the blocks over mean variance",
    margin=0.05,
    method="U-centred U-statistic between channels, skewness-matched chi-square; "
    "Wilson-jackknife interval",
    inapplicable=_inapplicable,
    measure=_measure,
)
