"""An append-only file of what is done: one line per cell, after a line that says whose it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Self, TypeVar

from cwda._version import __version__
from cwda.answers.saving import as_plain, from_plain
from cwda.errors import CwdaError
from cwda.grid.cell import Cell

__all__ = ["Store"]

Record = TypeVar("Record")
C = TypeVar("C", bound=Cell[Any])

#: How every store begins, whatever was cut off behind.
_BEGINNING = b'{"grid": "'


class Store:
    """The records of the cells that are done, in a file that a later run continues.

    Each line is written at once, at the end of the file. A line that a kill left unfinished is
    dropped by the next run; nothing that was finished is ever written again.

    Parameters
    ----------
    path : Path, optional
        A file, made if absent; without one, cells are kept in memory only.
    kind : str
        What the file holds, such as "experiment".
    claim : mapping of str to plain values
        What must be the same for cells to belong together. What one run leaves out, the next
        may add.
    versions : mapping of str to str, optional
        Those of the store whose cells are taken over; by default the present ones.

    Attributes
    ----------
    claim : dict
        What this run and the earlier ones claim.
    versions : dict of str to str
        Versions of cwda, numpy, scipy and torch that the file was begun with.

    Raises
    ------
    CwdaError
        If the file belongs to another run, is damaged, holds something else, or cannot be written.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Count:
    ...     rejected: int
    >>> @dataclass(frozen=True)
    ... class Design(Cell[Count]):
    ...     name: str
    ...     record = Count
    >>> store = Store(None, "calibration", {"seed": 0})
    >>> store.keep(Design("iid"), Count(3))
    >>> store[Design("iid")], Design("t5") in store
    (Count(rejected=3), False)
    """

    def __init__(
        self,
        path: Path | None,
        kind: str,
        claim: Mapping[str, Any],
        *,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        self.path, self.kind = path, kind
        self.claim: dict[str, Any] = {}
        self.versions = _versions() if versions is None else dict(versions)
        self._cells: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        begun, torn = self._read(path) if path else (False, 0)
        added = {name: as_plain(value) for name, value in claim.items()}
        for name in added.keys() & self.claim.keys():
            self._require_same(name, added.pop(name))
        self.claim |= added
        if torn:
            self._drop(torn)
        if not begun:
            self._append({"grid": kind, "versions": self.versions, "claim": self.claim})
        else:
            self._append({"claim": added} if added else None)

    @classmethod
    def of(cls, path: Path, kind: str) -> Self:
        """The store in a file, to read it only.

        Raises
        ------
        CwdaError
            If the file is missing, damaged, or holds something else.
        """
        if not path.exists():
            raise CwdaError(f"{path}: no such file; check the path")
        store = cls(None, kind, {})
        store._read(path)
        return store

    def __contains__(self, cell: Cell[Any]) -> bool:
        return _key(cell) in self._cells

    def __getitem__(self, cell: Cell[Record]) -> Record:
        _, record = self._cells[_key(cell)]
        parsed: Record = self._parsed(cell.record, record)
        return parsed

    def all(self, kind: type[C]) -> Iterator[tuple[C, Any]]:
        """The cells of a kind that are done, with their records, in the order they were kept."""
        for key, (cell, record) in self._cells.items():
            if key.startswith(f"{kind.__name__} "):
                yield self._parsed(kind, cell), self._parsed(kind.record, record)

    def keep(self, cell: Cell[Record], record: Record) -> None:
        """Add what was found in a cell.

        Raises
        ------
        CwdaError
            If it cannot be written.
        """
        content = {"cell": as_plain(cell), "record": as_plain(record)}
        self._append({"of": type(cell).__name__, **content})
        self._cells[_key(cell)] = content["cell"], content["record"]

    def _require_same(self, name: str, value: Any) -> None:
        if self.claim[name] != value:
            raise CwdaError(
                f"{self.path} belongs to another {self.kind} ({name}: {_short(self.claim[name])}, "
                f"now {_short(value)}); choose another place or remove it"
            )

    def _read(self, path: Path) -> tuple[bool, int]:
        """Take up what a file holds: whether there is anything, and the bytes that were cut off."""
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise CwdaError(f"{path}: cannot be read ({error.strerror or error})") from error
        beginning = content[: len(_BEGINNING)]
        if not _BEGINNING.startswith(beginning):
            raise CwdaError(f"{path}: does not hold the cells of {self._a}; choose another name")
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:-1], 1):  # what follows the last break was cut off
            try:
                self._take(json.loads(line), path)
            except CwdaError:
                raise
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise CwdaError(f"{path}: line {number} is damaged; delete it") from error
        return len(lines) > 1, len(lines[-1])

    def _take(self, line: Mapping[str, Any], path: Path) -> None:
        if "record" in line:
            key = f"{line['of']} {json.dumps(line['cell'], sort_keys=True)}"
            self._cells[key] = dict(line["cell"]), dict(line["record"])
            return
        if "grid" in line:
            if line["grid"] != self.kind:
                raise CwdaError(f"{path} holds the cells of {_a(line['grid'])}, not of {self._a}")
            self.versions = dict(line["versions"])
        self.claim |= line["claim"]

    def _parsed(self, kind: type[Record], content: Mapping[str, Any]) -> Record:
        try:
            return from_plain(kind, content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CwdaError(f"{self.path}: a cell is damaged ({content!s:.60})") from error

    def _append(self, content: Mapping[str, Any] | None) -> None:
        """Write a line whole or not at all; None only tries whether that is possible."""
        if self.path is None:
            return
        line = json.dumps(content, allow_nan=False) + "\n" if content else ""
        with self._writing() as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                before = file.tell()
                try:
                    file.write(line.encode())
                    file.flush()
                except BaseException:
                    os.truncate(path, before)
                    raise

    def _drop(self, torn: int) -> None:
        with self._writing() as path:
            os.truncate(path, path.stat().st_size - torn)

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        assert self.path is not None
        try:
            yield self.path
        except OSError as error:
            reason = error.strerror or error
            raise CwdaError(f"{self.path}: cannot be written ({reason})") from error

    @property
    def _a(self) -> str:
        return _a(self.kind)


def _a(kind: object) -> str:
    return f"an {kind}" if str(kind)[:1] in "aeiou" else f"a {kind}"


def _key(cell: Cell[Any]) -> str:
    return f"{type(cell).__name__} {json.dumps(as_plain(cell), sort_keys=True)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _versions() -> dict[str, str]:
    packages = {name: _version_of(name) for name in ("numpy", "scipy", "torch")}
    return {"cwda": __version__, **packages}


@cache
def _version_of(package: str) -> str:
    return metadata.version(package)
