"""Run conditions over the layers of networks and adjust their p-values."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from cwda.arguments import choose, require_between
from cwda.conditions.definition import Condition
from cwda.conditions.epsilon import EPSILON
from cwda.conditions.gaussianity import GAUSSIANITY
from cwda.conditions.homogeneity import HOMOGENEITY
from cwda.conditions.independence import INDEPENDENCE
from cwda.conditions.mean import MEAN
from cwda.conditions.results import NAN, ConditionResult, decide
from cwda.conditions.table import CheckResult
from cwda.conditions.variance import VARIANCE
from cwda.conditions.workspace import Workspace, unfit
from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.loading.sources import Source, networks_of
from cwda.numerics.combination import benjamini_hochberg, holm
from cwda.numerics.device import resolve_device
from cwda.progress import steps

__all__ = ["CONDITIONS", "DEFAULT_ALPHA", "check", "check_layer", "resolve_margins"]

#: The six conditions, in the order of tables.
CONDITIONS: Mapping[str, Condition] = {
    condition.name: condition
    for condition in (GAUSSIANITY, VARIANCE, MEAN, EPSILON, INDEPENDENCE, HOMOGENEITY)
}

DEFAULT_ALPHA = 0.05

_LOG = logging.getLogger(__name__)


def check(
    networks: Source | Iterable[Source],
    conditions: Sequence[str] | None = None,
    *,
    margins: Mapping[str, float] | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: str | torch.device = "auto",
) -> CheckResult:
    """Test the conditions of CWDA on every layer of one or several networks.

    Each condition gives an effect with an interval at level 1 - 2 `alpha`, a p-value of
    the point null, and a verdict by equivalence: it *holds* where the whole interval lies
    within the margin, *fails* where it lies beyond, and is *inconclusive* otherwise. A
    layer or condition that cannot be tested is a row "not applicable" with its reason.

    Parameters
    ----------
    networks : Network, or anything that `cwda.load` takes, or an iterable of such
        One network or several: loaded, or as a name, file, module, state dict, layer or array.
    conditions : sequence of str, optional
        Any of gaussianity, variance, mean, epsilon, independence, homogeneity; all six
        by default.
    margins : mapping of str to float, optional
        Margins by condition, where they differ from the defaults.
    alpha : float
        Intervals have level 1 - 2 alpha, so that each verdict is a test at level alpha.
    device : str or torch.device
        "auto" (CUDA if there is one), "cpu", "cuda", ...

    Returns
    -------
    CheckResult
        `.table` has one row a layer and condition, `.summary()` counts verdicts.

    Raises
    ------
    CwdaError
        If a source cannot be read, a condition is unknown, or a margin, alpha or the device is
        impossible.

    References
    ----------
    Huang et al. (2021), "Rethinking the Pruning Criteria for Convolutional Neural
    Network", NeurIPS, section 2.1.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.check(cwda.load("resnet20-cifar10").select("layer3.*"), ["mean"])
    >>> [str(verdict) for verdict in res.table["verdict"]]
    ['inconclusive', 'inconclusive', 'holds', 'inconclusive', 'fails', 'inconclusive']
    """
    chosen = choose_conditions(conditions)
    allowed = resolve_margins(margins)
    require_alpha(alpha)
    where = resolve_device(device)
    many = networks_of(networks)
    results: list[ConditionResult] = []
    for network in many:
        _LOG.info("testing %d layers of %s on %s", len(network), network.name, where)
        rows: list[ConditionResult] = []
        for layer in steps(network.layers, f"testing {network.name}"):
            rows += _check_layer(layer, chosen, allowed, alpha, where, network.name)
        results += _adjust(rows)
    return CheckResult(tuple(results), tuple(many), alpha)


def check_layer(
    layer: ConvLayer,
    condition: str,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: str | torch.device = "auto",
) -> ConditionResult:
    """Test one condition on one layer; parameters as in `check`."""
    chosen = choose_conditions([condition])
    margins = resolve_margins({} if margin is None else {condition: margin})
    require_alpha(alpha)
    return _check_layer(layer, chosen, margins, alpha, resolve_device(device), "")[0]


def resolve_margins(margins: Mapping[str, float] | None) -> dict[str, float]:
    """Margins of all conditions: the defaults, overridden by `margins`.

    Raises
    ------
    CwdaError
        If a name is unknown or a margin is not a positive number.
    """
    resolved = {name: condition.margin for name, condition in CONDITIONS.items()}
    if not isinstance(margins, Mapping | None):
        raise CwdaError(
            f"margins are given by condition, such as {{'mean': 0.1}}, "
            f"not an object of type {type(margins).__name__}"
        )
    for name, value in (margins or {}).items():
        choose([name], resolved, "condition")
        resolved[name] = require_between(value, 0, math.inf, f"the margin of {name}")
    return resolved


def choose_conditions(names: Sequence[str] | None) -> list[Condition]:
    """The conditions of these names, in their usual order; all by default.

    Raises
    ------
    CwdaError
        If one is unknown, or none is given.
    """
    return [CONDITIONS[name] for name in choose(names, CONDITIONS, "condition")]


def require_alpha(alpha: float) -> None:
    """Refuse an impossible level.

    Raises
    ------
    CwdaError
        If it does not lie between 0 and 0.5.
    """
    require_between(alpha, 0, 0.5, "alpha")


def _check_layer(
    layer: ConvLayer,
    conditions: Sequence[Condition],
    margins: Mapping[str, float],
    alpha: float,
    device: torch.device,
    network: str,
) -> list[ConditionResult]:
    _LOG.debug("testing %r", layer)
    reason = unfit(layer)
    names = {condition.name for condition in conditions}
    space = Workspace(
        layer,
        device,
        alpha,
        variance="variance" in names,
        covariance=not names.isdisjoint({"epsilon", "independence"}),
    )
    return [
        _test(condition, space, reason, margins[condition.name], network)
        for condition in conditions
    ]


def _test(
    condition: Condition, space: Workspace, reason: str, margin: float, network: str
) -> ConditionResult:
    layer = space.layer
    result = ConditionResult(
        network=network,
        layer=layer.name,
        condition=condition.name,
        estimate=NAN,
        effect=NAN,
        effect_low=NAN,
        effect_high=NAN,
        margin=margin,
        statistic=NAN,
        pvalue=NAN,
        pvalue_holm=NAN,
        pvalue_bh=NAN,
        verdict="not applicable",
        n_filters=layer.n_filters,
        dim=layer.dim,
        n_weights=layer.n_weights,
        method=condition.method,
        reason=reason or condition.inapplicable(layer),
        null_hypothesis=condition.null_hypothesis,
    )
    if result.reason:
        return result
    try:
        found = condition.measure(space)
    except (CwdaError, torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # One layer that cannot be computed must not lose the others. The allocator of the CPU
        # raises a plain RuntimeError.
        if type(error) is RuntimeError and "alloc" not in str(error):
            raise
        return replace(result, reason=(str(error).splitlines() or [type(error).__name__])[0])
    if not math.isfinite(found.effect):
        return replace(result, reason="the effect is not defined for these weights")
    return replace(
        result,
        estimate=found.estimate,
        effect=found.effect,
        effect_low=found.low,
        effect_high=found.high,
        statistic=found.statistic,
        pvalue=found.pvalue,
        pvalue_holm=found.pvalue,
        pvalue_bh=found.pvalue,
        verdict=decide(found.low, found.high, margin),
        details=found.details,
    )


def _adjust(rows: Sequence[ConditionResult]) -> list[ConditionResult]:
    """Adjust p-values over the layers of one network, condition by condition."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.condition].append(place)
    adjusted = list(rows)
    for indices in places.values():
        raw = np.array([rows[i].pvalue for i in indices])
        for i, h, b in zip(indices, holm(raw), benjamini_hochberg(raw), strict=True):
            adjusted[i] = replace(rows[i], pvalue_holm=float(h), pvalue_bh=float(b))
    return adjusted
