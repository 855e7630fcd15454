"""What networks were trained for and how they are built, as a user knows it."""

from __future__ import annotations

import csv
import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from cwda.arguments import as_path
from cwda.errors import CwdaError

__all__ = ["Labels", "read_labels"]

_COLUMNS = ("source", "task", "family")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Labels:
    """Task and family by glob patterns of sources; the first that matches counts.

    A pattern matches a source, or its name with or without the ending. One of a relative path is
    of the current folder, or else of the one that its file is in.

    Attributes
    ----------
    rows : tuple of (str, str, str)
        Pattern, task and family.
    folder : Path
        Where the file is.

    Examples
    --------
    >>> labels = Labels((("*vgg*", "classification", "vgg"),))
    >>> labels.of("/nets/vgg16.pth", "vgg16.pth")
    ('classification', 'vgg')
    """

    rows: tuple[tuple[str, str, str], ...]
    folder: Path = Path()

    def of(self, source: str, name: str) -> tuple[str, str]:
        """Task and family of a source; empty where no pattern matches it or its name."""
        matching = self._matching(source, name)
        return self.rows[min(matching)][1:] if matching else ("", "")

    def unused(self, sources: Iterable[tuple[str, str]]) -> list[str]:
        """The patterns that match none of these sources, given with their names."""
        used: set[int] = set()
        for source, name in sources:
            used |= self._matching(source, name)
        return [pattern for at, (pattern, _, _) in enumerate(self.rows) if at not in used]

    def _matching(self, source: str, name: str) -> set[int]:
        """The rows whose pattern matches."""
        texts = {source, name, PurePath(name).stem}
        found = {at for text in texts for at in self._plain.get(text, ())}
        return found | {at for at, glob in self._globs if any(map(glob.match, texts))}

    @cached_property
    def _plain(self) -> dict[str, list[int]]:
        """The rows of patterns that are plain texts: most are, and there may be thousands."""
        rows: dict[str, list[int]] = {}
        for at, text in self._patterns():
            rows.setdefault(text, []).append(at)
        return rows

    @cached_property
    def _globs(self) -> list[tuple[int, re.Pattern[str]]]:
        return [
            (at, re.compile(fnmatch.translate(text)))
            for at, text in self._patterns()
            if _GLOB.search(text)
        ]

    def _patterns(self) -> Iterator[tuple[int, str]]:
        """The patterns with the numbers of their rows, those of relative paths in full too."""
        for at, (pattern, _, _) in enumerate(self.rows):
            yield at, pattern
            if "://" not in pattern:
                yield at, os.path.abspath(pattern)
                yield at, os.path.abspath(self.folder / pattern)


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
    return Labels(tuple(rows), path.parent)


def _row(row: Mapping[str, str | None]) -> tuple[str, str, str]:
    source, task, family = ((row.get(name) or "").strip() for name in _COLUMNS)
    return source, task, family
