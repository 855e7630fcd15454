"""The conditions of CWDA: from a network to verdicts."""

from cwda.conditions.built_in.distinctness import distinctness
from cwda.conditions.built_in.epsilon import epsilon
from cwda.conditions.built_in.gaussianity import gaussianity
from cwda.conditions.built_in.homogeneity import homogeneity
from cwda.conditions.built_in.independence import independence
from cwda.conditions.built_in.mean import mean
from cwda.conditions.built_in.shape import shape
from cwda.conditions.built_in.variance import variance
from cwda.conditions.calibration import Calibration
from cwda.conditions.check import check
from cwda.conditions.condition import Condition, Figure, Formula, Words, condition
from cwda.conditions.description import (
    BlockCovariance,
    Description,
    LayerDescription,
    block_covariance,
    describe,
    joint_normality,
    normality,
)
from cwda.conditions.directions import Directions
from cwda.conditions.reference import Reference, ReferenceGroup
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult, Measurement
from cwda.conditions.table import CheckResult
from cwda.conditions.whole.contrast import contrast
from cwda.conditions.whole.contrast_result import Contrast, ContrastRow, LayerPair
from cwda.conditions.whole.result import NetworkCondition, NetworkResult, NetworkVerdict
from cwda.conditions.workspace import NEEDS, Workspace

#: The conditions of the package, in the order of tables.
BUILT_IN = (
    gaussianity,
    shape,
    variance,
    mean,
    epsilon,
    independence,
    homogeneity,
    distinctness,
)
CONDITIONS.arrange(BUILT_IN)

__all__ = [
    "BUILT_IN",
    "CONDITIONS",
    "NEEDS",
    "BlockCovariance",
    "Calibration",
    "CheckResult",
    "Condition",
    "ConditionResult",
    "Contrast",
    "ContrastRow",
    "Description",
    "Directions",
    "Figure",
    "Formula",
    "LayerDescription",
    "LayerPair",
    "Measurement",
    "NetworkCondition",
    "NetworkResult",
    "NetworkVerdict",
    "Reference",
    "ReferenceGroup",
    "Words",
    "Workspace",
    "block_covariance",
    "check",
    "condition",
    "contrast",
    "describe",
    "distinctness",
    "epsilon",
    "gaussianity",
    "homogeneity",
    "independence",
    "joint_normality",
    "mean",
    "normality",
    "shape",
    "variance",
]
