"""The file of a monitor: one training, one row per epoch and condition."""

from __future__ import annotations

import csv
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cwda.answers import columns_of
from cwda.callbacks.trajectory import EpochCondition
from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file

__all__ = ["CsvFile", "read_rows"]


class CsvFile:
    """Keeps a file of rows, written whole at each epoch.

    Rows of the epoch that is written and of later ones are replaced: a training that goes on
    from a checkpoint writes the epochs after it again.

    Parameters
    ----------
    path : Path
        Its name ends with ``.csv``. One that exists is continued.

    Raises
    ------
    CwdaError
        If it cannot be written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        require_writable(path, (".csv",))
        self.path = path
        if path.exists():
            read_rows(path)

    def write(self, epoch: float, rows: Sequence[EpochCondition]) -> None:
        """Add the rows of an epoch.

        Raises
        ------
        CwdaError
            If the file cannot be written, is not readable any more, or holds the training of
            another network; it is then as it was.
        """
        before = read_rows(self.path) if self.path.exists() else []
        names = {row.network for row in rows}
        others = [row.network for row in before if names and row.network not in names]
        if others:
            raise CwdaError(
                f"{self.path}: holds the training of {others[0]}, not of {', '.join(names)}; give "
                "another name"
            )
        kept = [row for row in before if row.epoch < epoch]
        with whole_file(self.path) as partial, partial.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(_COLUMNS))
            writer.writeheader()
            writer.writerows(_cells(row) for row in (*kept, *rows))


def read_rows(path: Path) -> list[EpochCondition]:
    """The rows of a file, in its order.

    Raises
    ------
    CwdaError
        If the file cannot be read or holds something else.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (lines.fieldnames or ())]
            if missing:
                raise CwdaError(
                    f"{path}: not the file of a cwda.callbacks.Monitor: it has no column "
                    f"{missing[0]!r}"
                )
            return [_row(path, number, line) for number, line in enumerate(lines, 2)]
    except FileNotFoundError:
        raise CwdaError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise CwdaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (UnicodeDecodeError, csv.Error):
        raise CwdaError(f"{path}: not a CSV file") from None


_HINTS = typing.get_type_hints(EpochCondition)
_COLUMNS = {name: _HINTS[name] for name in columns_of(EpochCondition)}


def _cells(row: EpochCondition) -> dict[str, object]:
    cells = {name: getattr(row, name) for name in _COLUMNS}
    return {name: "" if _is_nan(value) else value for name, value in cells.items()}


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _row(path: Path, number: int, line: Mapping[str, str | None]) -> EpochCondition:
    try:
        return EpochCondition(**{name: _value(kind, line[name]) for name, kind in _COLUMNS.items()})
    except ValueError:
        raise CwdaError(f"{path}: line {number} is damaged") from None


def _value(kind: Any, text: str | None) -> Any:
    if text is None:
        raise ValueError("the line is cut short")
    if kind is float:
        return float(text) if text else math.nan
    if kind is int:
        return int(text)
    choices: Iterable[str] = typing.get_args(kind)
    if choices and text not in choices:
        raise ValueError(text)
    return text
