"""Answers as JSON files: rows, settings, version, and where the weights came from."""

from __future__ import annotations

import json
import math
import platform
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from cwda._version import __version__
from cwda.arguments import as_path
from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file
from cwda.layers import ConvLayer, Network, Provenance

if TYPE_CHECKING:
    from cwda.answers.answer import Answer

__all__ = [
    "as_plain",
    "from_plain",
    "load",
    "require_restorable",
    "require_restorable_fields",
    "save",
]

A = TypeVar("A")

#: Types of single values that come back as they were.
_PLAIN = (str, int, float, bool, type(None), Path)

#: Endings of tables that hold no answer; JSON may be either.
_TABLES = (".csv", ".parquet")

#: Numbers that JSON has no sign for.
_NAMES = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def save(answer: Answer[Any], path: str | Path) -> None:
    """Write an answer whole or not at all."""
    path = as_path(path)
    require_writable(path, (".json",))
    content = {
        "answer": type(answer).__name__,
        "cwda": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "networks": [_network(network) for network in answer.networks],
        **{
            each.name: as_plain(getattr(answer, each.name))
            for each in fields(answer)
            if each.name != "networks"
        },
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def load(kind: type[A], path: str | Path) -> A:
    """An answer of this kind from its file."""
    path = as_path(path)
    try:
        if path.suffix in _TABLES:
            raise CwdaError(_table_not_answer(kind))
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, list) and content and isinstance(content[0], dict):
            raise CwdaError(_table_not_answer(kind))
        name = content["answer"]
        if name == kind.__name__:
            return kind(**_fields(kind, content))
    except FileNotFoundError:
        raise CwdaError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise CwdaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except CwdaError as error:
        raise CwdaError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CwdaError(f"{path}: no {kind.__name__} that cwda saved, or damaged") from None
    raise CwdaError(f"{path}: holds the answer {name!s:.60}, not {kind.__name__}")


def _table_not_answer(kind: type[Any]) -> str:
    return (
        f"a table, as --output writes it, not the {kind.__name__} with its settings; read it with "
        'pandas, and write what is to be loaded again in Python, with .save("NAME.json")'
    )


def _fields(kind: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    hints = _hints(kind)  # type: ignore[arg-type]
    found = {}
    for each in fields(kind):
        value = content[each.name]
        if each.name == "networks":
            found[each.name] = tuple(_weightless(network) for network in value)
        elif each.name == "rows" or "row" in each.metadata:
            row = each.metadata.get("row", kind.row)
            found[each.name] = tuple(from_plain(row, cells) for cells in value)
        else:
            found[each.name] = _value(hints[each.name], value)
    return found


def from_plain(kind: type[A], content: Mapping[str, Any]) -> A:
    """A dataclass of which `as_plain` made plain values."""
    hints = _hints(kind)  # type: ignore[arg-type]
    parts = fields(kind)  # type: ignore[arg-type]
    return kind(**{each.name: _value(hints[each.name], content[each.name]) for each in parts})


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(kind: Any, value: Any) -> Any:
    """A value of JSON as what the annotation of its field says."""
    if kind is int or kind is str:
        return value
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _value(next(each for each in arguments if each is not type(None)), value)
    if kind is Path:
        return Path(value)
    if kind is float:
        return _NAMES[value] if isinstance(value, str) else float(value)
    if origin is tuple and arguments[-1] is not ...:
        return tuple(_value(*pair) for pair in zip(arguments, value, strict=True))
    if origin in (tuple, list):
        return origin(_value(arguments[0], item) for item in value)
    if origin in (dict, Mapping):
        return {key: _value(arguments[1], item) for key, item in value.items()}
    if is_dataclass(kind):
        return from_plain(kind, value)  # type: ignore[arg-type]
    return value


def require_restorable(kind: type[Any], name: str, annotation: Any) -> None:
    """Refuse the annotation of a field whose value a file cannot give back as it was.

    Raises
    ------
    CwdaError
        If it is made of anything but str, int, float, bool, None, Literal, Path, dataclasses, and
        tuples, lists and mappings of these.
    """
    if annotation in _PLAIN:
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    parts: list[Any] = []
    if is_dataclass(annotation):
        if annotation is not kind:
            require_restorable_fields(annotation)  # type: ignore[arg-type]
        return
    if origin is typing.Literal:
        parts = [type(value) for value in arguments]
    elif origin in (typing.Union, types.UnionType) and len(arguments) == 2:
        parts = [each for each in arguments if each is not type(None)]
        parts *= len(parts) == 1  # which of two types it was, a file does not say
    elif origin in (tuple, list):
        parts = [each for each in arguments if each is not ...]
    elif origin in (dict, Mapping) and arguments[0] is str:
        parts = [arguments[1]]
    if not parts:
        raise CwdaError(
            f"{kind.__name__}.{name}: a file cannot give back a value of the type {annotation}; "
            "use str, int, float, bool, Path, X | None, a dataclass, or tuple[X, Y], "
            "tuple[X, ...], list[X], Mapping[str, X]"
        )
    for part in parts:
        require_restorable(kind, name, part)


def require_restorable_fields(kind: type[Any]) -> None:
    """Refuse a dataclass, such as the rows of an answer, that a file cannot give back.

    Raises
    ------
    CwdaError
        As `require_restorable`.
    """
    hints = _hints(kind)  # type: ignore[arg-type]
    for each in fields(kind):
        require_restorable(kind, each.name, hints[each.name])


def as_plain(value: Any) -> Any:
    """A value of a field as JSON can hold it.

    Examples
    --------
    >>> as_plain({"rate": 0.5, "truth": math.nan, "size": (8, 9)})
    {'rate': 0.5, 'truth': 'nan', 'size': [8, 9]}
    """
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _network(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        **as_plain(network.provenance),
        "layers": [
            {
                "name": layer.name,
                "shape": list(layer.weight.shape),
                "groups": layer.groups,
                "transposed": layer.transposed,
            }
            for layer in network
        ],
    }


def _weightless(content: Mapping[str, Any]) -> Network:
    layers = tuple(
        ConvLayer(
            str(layer["name"]),
            torch.empty([int(size) for size in layer["shape"]], device="meta"),
            groups=int(layer["groups"]),
            transposed=bool(layer["transposed"]),
        )
        for layer in content["layers"]
    )
    origin = Provenance(content["source"], content["format"], content["sha256"])
    return Network(str(content["name"]), layers, origin)
