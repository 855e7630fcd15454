"""A `repr` for records that hold arrays: their sizes in place of their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

__all__ = ["brief"]

# Most characters of one field, and of a whole record.
_FIELD, _RECORD = 60, 360


def brief(record: Any) -> str:
    """The type and fields of a dataclass in a few lines; for `__repr__ = brief`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass(frozen=True)
    ... class Spectrum:
    ...     name: str
    ...     values: np.ndarray
    ...
    ...     __repr__ = brief
    >>> Spectrum("conv1", np.zeros((3, 9)))
    Spectrum(name='conv1', values=<float64 3 x 9>)
    """
    shown = (f"{part.name}={_value(getattr(record, part.name))}" for part in fields(record))
    text = f"{type(record).__name__}({', '.join(shown)})"
    return text if len(text) <= _RECORD else f"{text[:_RECORD]} ...)"


def _value(value: Any) -> str:
    if hasattr(value, "shape") and not isinstance(value, type):
        return _array(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping | list | tuple | set | frozenset) and len(value) > 3:
        return f"<{len(value)} in a {type(value).__name__}>"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_value, value))})"
    text = " ".join(repr(value).split())
    return text if len(text) <= _FIELD else f"{text[: _FIELD - 4]} ..."


def _array(value: Any) -> str:
    dtype = str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch.")
    size = " x ".join(map(str, value.shape))
    return f"<{dtype} {size}>" if size else f"{float(value):.6g}"
