"""The errors that a user can cause; each message is one line that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CannotFit",
    "CriterionError",
    "CwdaError",
    "DataError",
    "DivergedError",
    "ExportError",
    "OutOfMemory",
    "PlanError",
    "SelectionError",
    "SourceError",
    "TracingError",
    "UnknownName",
    "UnreadableError",
    "WeightsError",
    "cause_of",
    "close_names",
    "is_ours",
    "nearest",
    "reason_of",
]


class CwdaError(ValueError):
    """Base of all errors of this package that stem from the input, not from a defect."""


class SourceError(CwdaError):
    """The source of a network is unknown, missing or cannot be reached."""


class UnreadableError(SourceError):
    """A file exists but gives no convolution weights: wrong type, damaged or empty."""


class DataError(CwdaError):
    """Images or labels are missing, damaged or do not fit the model."""


class TracingError(CwdaError):
    """The forward pass of a model cannot be turned into a graph."""


class DivergedError(CwdaError):
    """The training loss is not finite."""


class WeightsError(CwdaError):
    """The weights of a layer give no scores, for instance when they are not finite."""


class CannotFit(CwdaError):  # noqa: N818 (it says what is the case)
    """The models of the theory cannot be fitted to a layer; `reason` says why, for a table."""

    def __init__(self, layer: str, reason: str) -> None:
        super().__init__(f"layer {layer!r} cannot be fitted: {reason}")
        self.reason = reason


class CriterionError(CwdaError):
    """A pruning criterion is unknown, or does not give one score for each filter."""


class SelectionError(CwdaError):
    """Filters cannot be selected as asked: impossible ratio, unknown strategy."""


class UnknownName(CwdaError, KeyError):  # noqa: N818 (it says what is the case)
    """A mapping has no member of that name; as a KeyError it ends `in` and `get`."""

    __str__ = ValueError.__str__  # a KeyError would show the message in quotes


class PlanError(CwdaError):
    """A pruning plan is malformed, or does not fit the network it is applied to."""


class ExportError(CwdaError):
    """A network cannot be written in the format asked for."""


class OutOfMemory(CwdaError):  # noqa: N818 (it says what is the case)
    """Memory ran out on the device that was asked for."""


def reason_of(error: BaseException, length: int = 80) -> str:
    """An error's message on one line and cut short, for a line of ours; its class without one.

    Examples
    --------
    >>> reason_of(OSError("no space\\nleft")), reason_of(KeyError())
    ('no space left', 'KeyError')
    """
    return " ".join(str(error).split())[:length] or type(error).__name__


def cause_of(error: BaseException) -> str:
    """The first line of an error, with its class where the line alone may say little.

    Examples
    --------
    >>> cause_of(CwdaError("too few filters")), cause_of(ZeroDivisionError("division by zero"))
    ('too few filters', 'ZeroDivisionError: division by zero')
    """
    line = next(iter(str(error).splitlines()), "")
    if isinstance(error, CwdaError | RuntimeError | MemoryError) and line:
        return line
    return f"{type(error).__name__}: {line}".removesuffix(": ")


def is_ours(function: object) -> bool:
    """Whether a function comes with the package: what it raises is then a defect to be seen.

    Examples
    --------
    >>> is_ours(cause_of), is_ours(len)
    (True, False)
    """
    return str(getattr(function, "__module__", "")).startswith("cwda.")


def close_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The names that may be meant: those that begin or end so, else the nearest.

    Examples
    --------
    >>> close_names("resnet20", ["resnet50", "cifar_resnet20", "alexnet"])
    ['cifar_resnet20']
    """
    known, text = list(known), name.lower()
    within = [
        each
        for each in known
        if len(text) >= _FEWEST_LETTERS and (each.endswith(text) or each.startswith(text))
    ]
    alike = difflib.get_close_matches(text, known, n=most, cutoff=_ALIKE)
    return (within or alike)[:most]


#: What names have in common that are alike, and letters that say something of a name.
_ALIKE, _FEWEST_LETTERS = 0.5, 4

#: Most known names in one message.
_SHOWN = 20


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or the first twenty.

    Examples
    --------
    >>> from cwda.errors import nearest
    >>> nearest("l3", ["l1", "gm"])
    "; did you mean 'l1'?"
    """
    known = list(known)
    close = close_names(name, known, most=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    more = ", ..." if len(known) > _SHOWN else ""
    return f"; known are {', '.join(known[:_SHOWN])}{more}"
