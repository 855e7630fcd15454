"""Condition 2: the variances a_p of the positions are close to one another."""

from __future__ import annotations

from cwda.conditions.definition import Condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["VARIANCE"]


def _inapplicable(layer: ConvLayer) -> str:
    return "one weight a filter: no variances to compare" if layer.dim == 1 else ""


def _measure(space: Workspace) -> Measurement:
    kernel = space.kernels.variance
    assert kernel is not None
    return space.second_order(kernel, float(space.layer.dim), centred=False, details={})


VARIANCE = Condition(
    name="variance",
    null_hypothesis="all positions of a filter have the same variance",
    effect="coefficient of variation of the variances a_p",
    margin=0.5,
    method="U-statistic of centred squares, skewness-matched chi-square; Wilson-jackknife interval",
    inapplicable=_inapplicable,
    measure=_measure,
)
