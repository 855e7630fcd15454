"""Condition 1: the weights of a filter are approximately Gaussian."""

from __future__ import annotations

import math

from cwda.conditions.definition import Condition, always_applicable
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.numerics.combination import benjamini_hochberg, cauchy_combination, holm
from cwda.numerics.normality.layers import marginals
from cwda.numerics.normality.pooled_ks import pooled_ks

__all__ = ["GAUSSIANITY"]


def _measure(space: Workspace) -> Measurement:
    positions = marginals(space.filters.T, ["anderson_darling"])
    pvalues = positions.anderson_darling_pvalue
    assert pvalues is not None
    pvalue = float(cauchy_combination(pvalues))
    each = pvalues.cpu().numpy()
    details = {
        "positions": float((~positions.degenerate).sum()),
        "positions_degenerate": float(positions.degenerate.sum()),
        "positions_rejected": float((each < space.alpha).sum()),
        "positions_rejected_holm": float((holm(each) < space.alpha).sum()),
        "positions_rejected_bh": float((benjamini_hochberg(each) < space.alpha).sum()),
    }
    pooled = pooled_ks(space.filters, alpha=space.alpha)
    return Measurement(
        estimate=pooled.distance,
        effect=pooled.distance,
        low=pooled.low,
        high=pooled.high,
        statistic=_cauchy_statistic(pvalue),
        pvalue=pvalue,
        details=details,
    )


def _cauchy_statistic(pvalue: float) -> float:
    """The combined statistic T, which has the p-value of a standard Cauchy variable."""
    if not 0 < pvalue < 1:
        return math.copysign(math.inf, 0.5 - pvalue) if pvalue == pvalue else math.nan
    return 1 / math.tan(math.pi * pvalue)


GAUSSIANITY = Condition(
    name="gaussianity",
    null_hypothesis="at every position, the weights of the filters are normal",
    effect="Kolmogorov-Smirnov distance of the standardised weights from the normal law",
    margin=0.05,
    method="Anderson-Darling per position, Cauchy combination; KS distance of pooled "
    "weights, jackknife over filters, simultaneous band",
    inapplicable=always_applicable,
    measure=_measure,
)
