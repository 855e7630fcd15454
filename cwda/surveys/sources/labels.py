"""What networks were trained for and how they are built, as a user knows it."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cwda.arguments import as_path
from cwda.errors import CwdaError

__all__ = ["Labels", "read_labels"]

_COLUMNS = ("source", "task", "family")


@dataclass(frozen=True)
class Labels:
    """Task and family by glob patterns of sources; the first that matches counts.

    Examples
    --------
    >>> labels = Labels((("*vgg*", "classification", "vgg"),))
    >>> labels.of("/nets/vgg16.pth", "vgg16.pth")
    ('classification', 'vgg')
    """

    rows: tuple[tuple[str, str, str], ...]

    def of(self, source: str, name: str) -> tuple[str, str]:
        """Task and family of a source; empty where no pattern matches it or its name."""
        for pattern, task, family in self.rows:
            if any(fnmatch.fnmatchcase(text, pattern) for text in (source, name)):
                return task, family
        return "", ""


def read_labels(path: str | Path | None) -> Labels | None:
    """Labels from a CSV file with the columns ``source``, ``task`` and ``family``.

    Raises
    ------
    CwdaError
        If it cannot be read, or lacks `source`, or both others.
    """
    if path is None:
        return None
    path = as_path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            names = set(table.fieldnames or ())
            rows = [_row(row) for row in table]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise CwdaError(f"{path}: cannot be read ({reason})") from None
    if "source" not in names or not names & {"task", "family"}:
        raise CwdaError(
            f"{path}: labels need a line of heads with source (a file, a name, or a pattern of "
            f"these) and task or family; found {', '.join(sorted(names)) or 'none'}"
        )
    return Labels(tuple(rows))


def _row(row: Mapping[str, str | None]) -> tuple[str, str, str]:
    source, task, family = ((row.get(name) or "").strip() for name in _COLUMNS)
    return source, task, family
