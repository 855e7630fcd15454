"""Condition 2: the variances a_p of the positions are close to one another."""

from __future__ import annotations

from cwda.conditions.definition import Condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer
from cwda.numerics.ustatistics import infer

__all__ = ["VARIANCE"]


def _inapplicable(layer: ConvLayer) -> str:
    return "one weight a filter: no variances to compare" if layer.dim == 1 else ""


def _measure(space: Workspace) -> Measurement:
    kernel = space.kernels.variance
    assert kernel is not None
    found = infer(
        kernel, space.energy_product, float(space.layer.dim), centred=False, alpha=space.alpha
    )
    return Measurement(
        found.estimate * space.scale**4,
        found.effect,
        found.low,
        found.high,
        found.statistic,
        found.pvalue,
    )


VARIANCE = Condition(
    name="variance",
    null_hypothesis="all positions of a filter have the same variance",
    effect="coefficient of variation of the variances a_p",
    margin=0.5,
    method="U-statistic of centred squares, skewness-matched chi-square; Wilson-jackknife interval",
    inapplicable=_inapplicable,
    measure=_measure,
)
