"""Whether the weights can be told from those of an untrained network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cwda.conditions.results import ConditionResult
from cwda.numerics.combination import holm

__all__ = ["untrained_pvalue"]

#: The further number of a row in place of its p-value where weights are uniform.
UNIFORM = "uniform_pvalue"


def untrained_pvalue(conditions: Sequence[Sequence[ConditionResult]]) -> float:
    """P-value that all weights are independent, of one law in each layer: normal, or uniform.

    Every condition's null hypothesis is true then. The smallest p-value of its layers times
    their number (Bonferroni) is the condition's p-value; Holm's method goes over the conditions.
    Of the two laws the one that fits better counts. A condition whose null hypothesis is not
    true of uniform weights has a further number `uniform_pvalue`, NaN where there is no such
    test.

    Parameters
    ----------
    conditions : sequence of sequence of ConditionResult
        The rows of one network, by condition.

    Returns
    -------
    float
        NaN where no row has a p-value.
    """
    normal = [[row.pvalue for row in rows] for rows in conditions]
    uniform = [[row.details.get(UNIFORM, row.pvalue) for row in rows] for rows in conditions]
    found = [_over_conditions(pvalues) for pvalues in (normal, uniform)]
    known = [pvalue for pvalue in found if not math.isnan(pvalue)]
    return max(known, default=math.nan)


def _over_conditions(conditions: Sequence[Sequence[float]]) -> float:
    adjusted = holm([_over_layers(pvalues) for pvalues in conditions])
    known = adjusted[~np.isnan(adjusted)]
    return float(known.min()) if len(known) else math.nan


def _over_layers(pvalues: Sequence[float]) -> float:
    known = [pvalue for pvalue in pvalues if not math.isnan(pvalue)]
    return min(1.0, min(known) * len(known)) if known else math.nan
