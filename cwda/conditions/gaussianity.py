"""Condition 1: the weights of a filter are approximately Gaussian."""

from __future__ import annotations

import math

from cwda.conditions.definition import Condition, always_applicable
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.numerics.combination import (
    benjamini_hochberg_adjusted,
    cauchy_combination,
    holm_adjusted,
)
from cwda.numerics.normality import marginals
from cwda.numerics.pooled import pooled_ks

__all__ = ["GAUSSIANITY"]


def _measure(space: Workspace) -> Measurement:
    positions = marginals(space.filters.T, ["anderson_darling"])
    pvalues = positions.anderson_darling_pvalue
    assert pvalues is not None
    tested = pvalues[~positions.degenerate].cpu().numpy()
    pvalue = float(cauchy_combination(tested)) if len(tested) else math.nan
    pooled = pooled_ks(space.filters, alpha=space.alpha)
    details = {
        "positions": float(len(tested)),
        "positions_rejected": float((tested < space.alpha).sum()),
        "positions_rejected_holm": float((holm_adjusted(tested) < space.alpha).sum()),
        "positions_rejected_bh": float((benjamini_hochberg_adjusted(tested) < space.alpha).sum()),
        "positions_degenerate": float(positions.degenerate.sum()),
    }
    statistic = (
        math.tan(math.pi * (0.5 - pvalue))
        if 0 < pvalue < 1
        else math.copysign(math.inf, 0.5 - pvalue)
    )
    return Measurement(
        pooled.effect, pooled.effect, pooled.low, pooled.high, statistic, pvalue, details
    )


GAUSSIANITY = Condition(
    name="gaussianity",
    null_hypothesis="at every position, the weights of the filters are normal",
    effect="Kolmogorov-Smirnov distance of the standardised weights from the normal law",
    margin=0.05,
    method="Anderson-Darling per position, Cauchy combination; KS distance of pooled "
    "weights with jackknife interval over filters",
    inapplicable=always_applicable,
    measure=_measure,
)
