"""The six conditions of CWDA: from a network to verdicts."""

from cwda.conditions.check import CONDITIONS, check
from cwda.conditions.functions import (
    epsilon,
    gaussianity,
    homogeneity,
    independence,
    mean,
    variance,
)
from cwda.conditions.results import COLUMNS, ConditionResult
from cwda.conditions.table import CheckResult

__all__ = [
    "COLUMNS",
    "CONDITIONS",
    "CheckResult",
    "ConditionResult",
    "check",
    "epsilon",
    "gaussianity",
    "homogeneity",
    "independence",
    "mean",
    "variance",
]
