"""The six conditions of CWDA: from a network to verdicts."""

from cwda.conditions.check import CONDITIONS, check
from cwda.conditions.description import (
    BlockCovariance,
    block_covariance,
    describe,
    joint_normality,
    normality,
)
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
    "BlockCovariance",
    "CheckResult",
    "ConditionResult",
    "block_covariance",
    "check",
    "describe",
    "epsilon",
    "gaussianity",
    "homogeneity",
    "independence",
    "joint_normality",
    "mean",
    "normality",
    "variance",
]
