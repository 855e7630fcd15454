"""Arguments of public functions: what is impossible is refused in one line."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat, TypeVar, overload

from cwda.errors import CwdaError, SelectionError, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cwda.typing import Named

__all__ = [
    "as_indices",
    "as_list",
    "as_numbers",
    "as_path",
    "choose",
    "name_of",
    "require_between",
    "require_count",
    "require_flag",
    "require_ratios",
    "require_type",
]

T = TypeVar("T")

#: From here on, a number that should lie between 0 and 1 was probably meant in per cent.
_LEAST_PERCENT = 5


def as_indices(
    values: object, count: int, what: str, owner: str, error: type[CwdaError] = CwdaError
) -> list[int]:
    """One index or several, each from 0 to `count` - 1.

    Raises
    ------
    CwdaError
        If there is none, or one is no whole number or too large; of the class `error`.

    Examples
    --------
    >>> as_indices(2, 16, "filter", "conv1"), as_indices([0, 5], 16, "filter", "conv1")
    ([2], [0, 5])
    """
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes)
    numbered = f"they are numbered 0 to {count - 1}"
    found: list[int] = []
    for index in values if several else [values]:  # type: ignore[attr-defined]
        whole = isinstance(index, numbers.Integral) and not isinstance(index, bool)
        if not whole or not 0 <= int(index) < count:
            raise error(f"{owner} has no {what} {_shown(index)}; {numbered}")
        found.append(int(index))
    if not found:
        raise error(f"no {what} of {owner} given; {numbered}")
    return found


def as_list(values: object, what: str, error: type[CwdaError] = CwdaError) -> list[str]:
    """The names of one thing or several, given as texts or as objects with a name, each once.

    Raises
    ------
    CwdaError
        If one is of another type; of the class `error`.

    Examples
    --------
    >>> as_list("l1", "criterion"), as_list(("l1", "gm", "l1"), "criterion")
    (['l1'], ['l1', 'gm'])
    """
    several = isinstance(values, Iterable) and not isinstance(values, str)
    names: dict[str, None] = {}
    for value in values if several else [values]:  # type: ignore[attr-defined]
        name = name_of(value)
        if not isinstance(name, str):
            raise error(
                f"a {what} is named by a text, several by a list of texts, not {_shown(value)}"
            )
        names[name] = None
    return list(names)


@overload
def name_of(value: str | Named) -> str: ...
@overload
def name_of(value: object) -> object: ...
def name_of(value: object) -> object:
    """The name of an object that has one; anything else as it is.

    Examples
    --------
    >>> from cwda.theory import SCALE
    >>> name_of(SCALE), name_of("scale"), name_of(3)
    ('scale', 'scale', 3)
    """
    name = value if isinstance(value, str) else getattr(value, "name", None)
    return name if isinstance(name, str) else value


def as_numbers(
    values: object,
    what: str,
    low: float = -math.inf,
    high: float = math.inf,
    error: type[CwdaError] = CwdaError,
) -> npt.NDArray[np.float64]:
    """An array of numbers between two limits, themselves included; NaN passes.

    Raises
    ------
    CwdaError
        If something else is given, or a number lies outside; of the class `error`.

    Examples
    --------
    >>> as_numbers([16, 32], "numbers of filters", 1)
    array([16., 32.])
    """
    import numpy as np

    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise error(f"{what} are numbers, not {_shown(values)}") from None
    outside = array[(array < low) | (array > high)]
    if len(outside):
        place = f"between {low:g} and {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise error(f"{what} are {place}, not {outside[0]:g}")
    return array


def as_path(value: object) -> Path:
    """A path given as a text or a path, with the home folder for ``~``.

    Raises
    ------
    CwdaError
        If it is of another type.

    Examples
    --------
    >>> as_path("reports/net.pdf").name
    'net.pdf'
    """
    if not isinstance(value, str | os.PathLike):
        raise CwdaError(f"a path is needed, not {_shown(value)}")
    return Path(value).expanduser()


def choose(
    names: object, known: Iterable[str], what: str, error: type[CwdaError] = CwdaError
) -> list[str]:
    """Those of `known` that are asked for, each once and in its order; all of them for None.

    They are asked for by name, or as objects that have one.

    Raises
    ------
    CwdaError
        If a name is unknown or none is given; of the class `error`.

    Examples
    --------
    >>> choose(["scale", "block"], ["block", "scale", "shape"], "rung")
    ['block', 'scale']
    """
    known = list(known)
    if names is None:
        return known
    asked = as_list(names, what, error)
    for name in asked:
        if name not in known:
            raise error(f"unknown {what} {name!r}{nearest(name, known)}")
    if not asked:
        raise error(f"no {what} given; choose from {', '.join(known)}")
    return [name for name in known if name in asked]


def require_between(
    value: object,
    low: float,
    high: float,
    what: str,
    error: type[CwdaError] = CwdaError,
    *,
    inclusive: bool = False,
) -> float:
    """A number between two limits, themselves excluded unless `inclusive`.

    Raises
    ------
    CwdaError
        If it is no number or lies outside; of the class `error`.

    Examples
    --------
    >>> require_between(0.5, 0, 1, "a pruning ratio")
    0.5
    """
    number = _number(value)
    inside = low <= number <= high if inclusive else low < number < high
    if not inside:
        place = f"above {low:g}"
        if math.isfinite(high):
            limits = "inclusive" if inclusive else "exclusive"
            place = f"between {low:g} and {high:g} ({limits})"
        percent = (low, high) == (0, 1) and _LEAST_PERCENT <= number < 100
        hint = f"; {number:g} % is {number / 100:g}" if percent else ""
        shown = f"{number:g}" if math.isfinite(number) else _shown(value)
        raise error(f"{what} lies {place}, not {shown}{hint}")
    return number


def require_count(value: object, least: int, what: str, error: type[CwdaError] = CwdaError) -> int:
    """A whole number that is not smaller than `least`.

    Raises
    ------
    CwdaError
        If it is no whole number or too small; of the class `error`.

    Examples
    --------
    >>> require_count(8, 1, "top, the number of filters,")
    8
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise error(f"{what} is a whole number, {least} or more, not {_shown(value)}")
    return int(value)


def require_flag(value: object, name: str) -> bool:
    """True or False, as themselves; a text such as "no" would count as true.

    Raises
    ------
    CwdaError
        If it is something else.

    Examples
    --------
    >>> require_flag(False, "progress")
    False
    """
    if not isinstance(value, bool):
        raise CwdaError(f"{name} is True or False, not {_shown(value)}")
    return value


def require_ratios(values: object, least: int = 1) -> tuple[float, ...]:
    """Pruning ratios, each between 0 and 1, and each once; `least` is how many are needed.

    Raises
    ------
    SelectionError
        If there is none, or one is no number between 0 and 1.

    Examples
    --------
    >>> require_ratios(0.5), require_ratios([0.1, 0.3, 0.1])
    ((0.5,), (0.1, 0.3))
    """
    several = isinstance(values, Iterable) and not isinstance(values, str)
    ratios = tuple(values) if several else (values,)  # type: ignore[arg-type]
    if len(ratios) < least:
        raise SelectionError("no pruning ratio given; one or more between 0 and 1 are needed")
    checked = (require_between(each, 0, 1, "a pruning ratio", SelectionError) for each in ratios)
    return tuple(dict.fromkeys(checked))


def require_type(value: object, kind: type[T], what: str, error: type[CwdaError] = CwdaError) -> T:
    """A value of this type.

    Raises
    ------
    CwdaError
        If it is of another; of the class `error`.

    Examples
    --------
    >>> require_type("mean *", str, "a text of globs")
    'mean *'
    """
    if not isinstance(value, kind):
        raise error(f"{what} is needed, not {_shown(value)}")
    return value


def _number(value: object) -> float:
    """The value as a float; NaN, which lies nowhere, if it is no number."""
    if isinstance(value, SupportsFloat) and not isinstance(value, str | bytes | bool):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            return math.nan
    return math.nan


def _shown(value: object) -> str:
    """A value in a message: small ones as they are, others by their type."""
    if value is None or isinstance(value, str | bool | numbers.Number):
        return repr(value)[:60]
    return f"an object of type {type(value).__name__}"
