"""What the JSON of a pruning plan must hold; nothing in it is ever executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from cwda.choices import Measure, Strategy
from cwda.errors import PlanError
from cwda.tracing.cost import Cost

__all__ = ["FORMAT", "validated"]

FORMAT = "cwda pruning plan 1"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _mapping(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


def _text(value: object) -> bool:
    return isinstance(value, str)


def _text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _indices(value: object) -> bool:
    return isinstance(value, list) and all(map(_whole, value)) and len({*value}) == len(value)


def _cost(value: object) -> bool:
    if value is None:
        return True
    named = isinstance(value, dict) and {*value} == {"parameters", "flops"}
    return named and _mapping(_whole)(value)


def _share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "network": (_text, "a text"),
    "criterion": (_text, "a text"),
    "strategy": (lambda value: value in get_args(Strategy), "'layerwise' or 'global'"),
    "normalise": (_text_or_none, "a text or null"),
    "ratio": (_share, "a number from 0 to 1"),
    "n_filters": (_mapping(lambda n: _whole(n) and n > 0), "a whole number for each layer"),
    "pruned": (_mapping(_indices), "a list of different indices for each layer"),
    "skipped": (_mapping(_text), "a reason for each layer"),
    "measure": (lambda value: value in get_args(Measure), "filters, parameters or flops"),
    "combine": (_text_or_none, "a text or null"),
    "minimum": (_whole, "a whole number"),
    "flagged": (
        lambda value: isinstance(value, list) and all(map(_text, value)),
        "a list of layers",
    ),
    "before": (_cost, "parameters and flops, or null"),
    "after": (_cost, "parameters and flops, or null"),
    "share_changed": (
        lambda value: value is None or _share(value),
        "a number from 0 to 1, or null",
    ),
}


def validated(content: Any) -> dict[str, Any]:
    """The fields of a plan, each of its type and consistent with one another.

    Raises
    ------
    PlanError
        If the content is not a plan, or the plan contradicts itself.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PlanError(f"not a pruning plan: it does not say 'format': {FORMAT!r}")
    if different := {*_CHECKS} ^ ({*content} - {"format"}):
        name = min(different)
        problem = "missing" if name in _CHECKS else "unknown"
        raise PlanError(f"not a pruning plan: {name!r} is {problem}")
    for name, (holds, wanted) in _CHECKS.items():
        if not holds(content[name]):
            raise PlanError(f"a damaged pruning plan: {name!r} must be {wanted}")
    n_filters, pruned = content["n_filters"], content["pruned"]
    if {*n_filters} != {*pruned}:
        raise PlanError("a damaged pruning plan: 'n_filters' and 'pruned' name different layers")
    for layer, indices in pruned.items():
        if indices and max(indices) >= n_filters[layer]:
            raise PlanError(
                f"a damaged pruning plan: {layer} has {n_filters[layer]} filters; there is no "
                f"{max(indices)}"
            )
    if content["measure"] != "filters" and (content["before"] is None or content["after"] is None):
        raise PlanError(f"a damaged pruning plan: a ratio of {content['measure']} without costs")
    costs = {
        name: None if content[name] is None else Cost(**content[name])
        for name in ("before", "after")
    }
    return {
        **{name: content[name] for name in _CHECKS},
        **costs,
        "pruned": {layer: tuple(indices) for layer, indices in pruned.items()},
        "flagged": tuple(content["flagged"]),
    }
