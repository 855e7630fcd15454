"""Statistical tests of the Convolution Weight Distribution Assumption (CWDA).

>>> import cwda
>>> net = cwda.load("resnet20-cifar10")
>>> res = cwda.check(net)
>>> len(res.table)
114
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cwda._version import __version__

if TYPE_CHECKING:
    from cwda import figures
    from cwda.comparison import applicability, compare, geometry, global_pruning
    from cwda.conditions import (
        CONDITIONS,
        CheckResult,
        ConditionResult,
        block_covariance,
        check,
        describe,
        epsilon,
        gaussianity,
        homogeneity,
        independence,
        joint_normality,
        mean,
        normality,
        variance,
    )
    from cwda.errors import CwdaError
    from cwda.experiment import ExperimentResult, FineTuning, run_experiment
    from cwda.extract import load, load_model
    from cwda.layers import ConvLayer, Network
    from cwda.models import accuracy, read_images
    from cwda.pruning import (
        Plan,
        collect,
        couple,
        criteria,
        criterion,
        dispersion,
        export,
        make_plan,
        masked,
        overlap,
        pruned_indices,
        remove,
        scores,
        select,
        similarity,
    )
    from cwda.reporting import report
    from cwda.theory import predict_similarity, simulate_similarity

__all__ = [
    "CONDITIONS",
    "CheckResult",
    "ConditionResult",
    "ConvLayer",
    "CwdaError",
    "ExperimentResult",
    "FineTuning",
    "Network",
    "Plan",
    "__version__",
    "accuracy",
    "applicability",
    "block_covariance",
    "check",
    "collect",
    "compare",
    "couple",
    "criteria",
    "criterion",
    "describe",
    "dispersion",
    "epsilon",
    "export",
    "figures",
    "gaussianity",
    "geometry",
    "global_pruning",
    "homogeneity",
    "independence",
    "joint_normality",
    "load",
    "load_model",
    "make_plan",
    "masked",
    "mean",
    "normality",
    "overlap",
    "predict_similarity",
    "pruned_indices",
    "read_images",
    "remove",
    "report",
    "run_experiment",
    "scores",
    "select",
    "similarity",
    "simulate_similarity",
    "variance",
]

# Importing torch takes two seconds; `cwda-test --help` must not wait for it.
_ROOMS = {
    "cwda.comparison": ("applicability", "compare", "geometry", "global_pruning"),
    "cwda.conditions": (
        "CONDITIONS",
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
    ),
    "cwda.errors": ("CwdaError",),
    "cwda.experiment": ("ExperimentResult", "FineTuning", "run_experiment"),
    "cwda.extract": ("load", "load_model"),
    "cwda.layers": ("ConvLayer", "Network"),
    "cwda.models": ("accuracy", "read_images"),
    "cwda.pruning": (
        "Plan",
        "collect",
        "couple",
        "criteria",
        "criterion",
        "dispersion",
        "export",
        "make_plan",
        "masked",
        "overlap",
        "pruned_indices",
        "remove",
        "scores",
        "select",
        "similarity",
    ),
    "cwda.reporting": ("report",),
    "cwda.theory": ("predict_similarity", "simulate_similarity"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "figures":
        return importlib.import_module("cwda.figures")
    if name not in _HOMES:
        raise AttributeError(f"module 'cwda' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
