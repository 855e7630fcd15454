"""`check`: which conditions, with which margins, in which networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cwda.arguments import choose
from cwda.choices import Scale
from cwda.conditions.condition import Condition, require_scale
from cwda.conditions.layerwise import check_networks, require_level, require_margin
from cwda.conditions.reference import Reference, as_reference, require_raw
from cwda.conditions.register import CONDITIONS
from cwda.conditions.table import CheckResult
from cwda.errors import CwdaError
from cwda.loading.source import Source
from cwda.loading.sources import networks_of
from cwda.progress import showing
from cwda.typing import Device

__all__ = ["check", "choose_conditions", "resolve_margins"]


def check(
    source: Source | Iterable[Source],
    conditions: str | Condition | Iterable[str | Condition] | None = None,
    *,
    margins: Mapping[str, float] | Mapping[str | Condition, float] | None = None,
    scale: Scale = "raw",
    level: float = 0.90,
    reference: Reference | str | Path | None = None,
    device: Device = "auto",
    progress: bool = True,
) -> CheckResult:
    """Test the conditions of CWDA in every layer of one or several networks.

    Each condition gives an effect with an interval, a p-value of its null hypothesis, and a
    verdict by equivalence: it *holds* where the whole interval lies within the margin, *fails*
    where it lies beyond, and is *inconclusive* otherwise. A layer or condition that cannot be
    tested is a row "not applicable" with its reason.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes, or an iterable of such
        One network or several: loaded, or as a name, file, module, state dict, layer or array.
    conditions : str, Condition, or iterable of such, optional
        Conditions by their names or as objects, such as ``cwda.conditions.mean``; by default all
        in `cwda.conditions.CONDITIONS`, those of `cwda.condition` included.
    margins : mapping of str or Condition to float, optional
        Margins by the name of the condition, where they differ from the defaults.
    scale : str
        "raw" for filters as they are, or "unit" to divide each by its root mean square first.
        Behind BatchNorm a filter's scale is free, its direction is not. Homogeneity is then not
        applicable, p-values that the division would spoil are NaN, and filters of norm 0 are
        left out.
    level : float
        Confidence of the intervals. A verdict errs with a probability of about (1 - level) / 2
        at most.
    reference : Reference or path, optional
        Effects of many networks, such as ``cwda survey --reference FILE`` writes: each row then
        says in what share of comparable layers the effect is smaller. `Reference.placed` can
        compare with one family.
    device : str or torch.device
        "auto" (CUDA if there is one), "cpu", "cuda", ...
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    CheckResult
        `.table` has one row per layer and condition, `.summary()` counts verdicts.

    Raises
    ------
    CwdaError
        If a source cannot be read, a condition is unknown, a margin belongs to a condition that
        is not tested, a margin, the scale, the level or the device is impossible, or the
        reference cannot be read or is asked for on unit directions.

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
    wanted = choose_conditions(conditions)
    allowed = resolve_margins(margins, wanted)
    require_level(level)
    require_scale(scale)
    others = as_reference(reference)
    if others:
        require_raw(scale)
    with showing(progress):
        found = check_networks(networks_of(source), wanted, allowed, level, device, scale)
    return others.placed(found) if others else found


def resolve_margins(
    margins: Mapping[str, float] | Mapping[str | Condition, float] | None,
    tested: Iterable[Condition],
) -> dict[str, float]:
    """Margins of all conditions: the defaults, overridden by `margins`.

    Raises
    ------
    CwdaError
        If a name is unknown or not among those tested, or a margin is not a positive number.
    """
    names = [condition.name for condition in tested]
    resolved = {name: condition.margin for name, condition in CONDITIONS.items()}
    if not isinstance(margins, Mapping | None):
        raise CwdaError(
            f"margins are given by condition, such as {{'mean': 0.1}}, "
            f"not an object of type {type(margins).__name__}"
        )
    for name, value in (margins or {}).items():
        (known,) = choose([name], resolved, "condition")
        if known not in names:
            raise CwdaError(f"a margin is given for {known}, which is not tested")
        resolved[known] = require_margin(known, value)
    return resolved


def choose_conditions(
    conditions: str | Condition | Iterable[str | Condition] | None,
) -> list[Condition]:
    """The conditions asked for, in the order of the register; all by default.

    Raises
    ------
    CwdaError
        If one is unknown, or none is given.
    """
    if isinstance(conditions, Condition):
        conditions = [conditions]
    names: object = conditions
    if isinstance(conditions, Iterable) and not isinstance(conditions, str):
        names = [_name(condition) for condition in conditions]
    return [CONDITIONS[name] for name in choose(names, CONDITIONS, "condition")]


def _name(condition: object) -> object:
    if not isinstance(condition, Condition):
        return condition
    if CONDITIONS.get(condition.name) is not condition:
        raise CwdaError(
            f"condition {condition.name!r} has been forgotten, or defined anew since; "
            "run its definition again"
        )
    return condition.name
