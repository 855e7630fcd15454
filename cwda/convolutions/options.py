"""What the user says about a source that cannot say it itself."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cwda.convolutions.axes.arrange import Layouts
from cwda.errors import SourceError

__all__ = ["Options", "checked_name", "checked_options"]


@dataclass(frozen=True)
class Options:
    """Options of `load` in the form that the selection of layers takes.

    Attributes
    ----------
    groups : mapping
        Number of groups by glob pattern of the layer's name.
    transposed : str
        Glob patterns of the transposed convolutions' names, separated by commas.
    weights_key : str or None
        Dotted path of the state dict to take, such as ``ema`` or ``model.generator``.
    layout : str, mapping or None
        Order of the axes of all layers, or by glob pattern of the layer's name.
    """

    groups: Mapping[str, int] = field(default_factory=dict)
    transposed: str = ""
    weights_key: str | None = None
    layout: Layouts | None = None


def checked_options(
    groups: Any = None, transposed: Any = None, weights_key: Any = None, layout: Any = None
) -> Options:
    """Options, if each is of its type; `layout` is checked where it is used.

    Raises
    ------
    SourceError
        If one is of another type; the line says what to give.
    """
    return Options(
        _groups(groups),
        _text(transposed, "transposed", "glob patterns of names, such as 'up*,dec*'") or "",
        _text(weights_key, "weights_key", "a dotted path, such as 'ema'"),
        layout,
    )


def checked_name(name: Any) -> str | None:
    """The name of a network, if it is a text or None."""
    return _text(name, "name", "the name of the network, such as 'resnet20'")


def _text(value: Any, option: str, wanted: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise SourceError(f"{option} is {_kind(value)}; give a text: {wanted}")


def _groups(groups: Any) -> dict[str, int]:
    if groups is None:
        return {}
    if not isinstance(groups, Mapping):
        raise SourceError(
            f"groups is {_kind(groups)}; give a mapping of glob patterns to numbers, such as "
            "{'*.conv2': 32}"
        )
    return {_pattern(pattern): _number(pattern, n) for pattern, n in groups.items()}


def _pattern(pattern: Any) -> str:
    if isinstance(pattern, str):
        return pattern
    raise SourceError(f"groups has a pattern {_kind(pattern)}; give a text such as '*.conv2'")


def _number(pattern: Any, number: Any) -> int:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if whole and number >= 1:
        return operator.index(number)
    shown = number if whole else f"{str(number)[:20]!r} ({type(number).__name__})"
    raise SourceError(f"groups for {pattern!r} is {shown}; give a whole number of 1 or more")


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}"
