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
    from cwda.extract import load
    from cwda.layers import ConvLayer, Network
    from cwda.pruning import (
        criteria,
        criterion,
        dispersion,
        pruned_indices,
        scores,
        select,
        similarity,
    )
    from cwda.theory import predict_similarity, simulate_similarity

__all__ = [
    "CONDITIONS",
    "CheckResult",
    "ConditionResult",
    "ConvLayer",
    "CwdaError",
    "Network",
    "__version__",
    "applicability",
    "block_covariance",
    "check",
    "compare",
    "criteria",
    "criterion",
    "describe",
    "dispersion",
    "epsilon",
    "gaussianity",
    "geometry",
    "global_pruning",
    "homogeneity",
    "independence",
    "joint_normality",
    "load",
    "mean",
    "normality",
    "predict_similarity",
    "pruned_indices",
    "scores",
    "select",
    "similarity",
    "simulate_similarity",
    "variance",
]

# Importing torch takes two seconds; `cwda-test --help` must not wait for it.
_HOMES = {
    "CwdaError": "cwda.errors",
    "ConvLayer": "cwda.layers",
    "Network": "cwda.layers",
    "load": "cwda.extract",
    **dict.fromkeys(
        ("criteria", "criterion", "dispersion", "pruned_indices", "scores", "select", "similarity"),
        "cwda.pruning",
    ),
    **dict.fromkeys(("predict_similarity", "simulate_similarity"), "cwda.theory"),
    **dict.fromkeys(("applicability", "compare", "geometry", "global_pruning"), "cwda.comparison"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'cwda' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "cwda.conditions")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
