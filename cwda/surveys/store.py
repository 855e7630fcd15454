"""The folder of a survey: Parquet parts, those of one network written whole or not at all."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cwda.errors import CwdaError
from cwda.files import whole_file
from cwda.surveys.tables import MEASURED, NETWORKS, TABLES, Table, require_pyarrow

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SETTINGS", "WITHOUT_RESULT", "Store", "as_part"]

SETTINGS = "survey.json"

#: Settings that say with what the folder was begun; all others must be those of a later run.
_VERSIONS = ("torch", "numpy", "python")

#: How the parts of sources begin that have no tables but their row of `networks`.
WITHOUT_RESULT = "source-"

#: Setting of a copy that has all networks in one part, and the name of that part.
_PACKED, _ALL = "packed", "all"
#: Parts that are read at a time to be packed.
_AT_A_TIME = 1000

_SUFFIX = ".parquet"
_FILE = "is a file, not the folder of a survey"
_PARTIAL = ".partial"
#: Characters of a path that a message shows.
_SHOWN = 500


class Store:
    """The parts of a survey.

    The part of a network in `networks` is its mark: it is written last, and the others are read
    only where it is there. So a network is in the survey as a whole or not at all, at whichever
    moment a run is killed.

    Parameters
    ----------
    folder : Path
        Holds ``survey.json`` and a folder for each table.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Make the folder, or see that what it holds was computed in the same way.

        Raises
        ------
        CwdaError
            If it cannot be written, holds other things, or a survey with other settings.
        """
        require_pyarrow()
        with self._writing():
            if self.folder.is_file():
                raise CwdaError(f"{self.folder}: {_FILE}")
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(13, "permission denied")
            begun = (self.folder / SETTINGS).exists()
            if not begun and any(self.folder.iterdir()):
                raise CwdaError(
                    f"{self.folder}: is not empty and holds no survey; give a folder of its own"
                )
        if begun:
            self._require_same(settings)
        with self._writing():
            for name in TABLES:
                (self.folder / name).mkdir(exist_ok=True)
        if not begun:
            with whole_file(self.folder / SETTINGS) as partial:
                partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def _require_same(self, settings: Mapping[str, Any]) -> None:
        kept = self.settings()
        if kept.get(_PACKED):
            raise CwdaError(
                f"{self.folder}: a packed copy is only read; go on in the folder it was made of"
            )
        for name, value in settings.items():
            if name not in _VERSIONS and kept.get(name) != value:
                raise CwdaError(
                    f"{self.folder}: holds a survey with {name} = {_short(kept.get(name))}, not "
                    f"{_short(value)}; give another folder"
                )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other surveys out of the folder; a process that ends lets go of it.

        Raises
        ------
        CwdaError
            If another one writes there.
        """
        if sys.platform == "win32":  # which has no such locks
            yield
            return
        with open(self.folder / SETTINGS, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CwdaError(
                    f"{self.folder}: another survey is writing there; wait until it has ended, or "
                    "give another folder"
                ) from None
            except OSError:  # a file system without locks
                pass
            yield

    def settings(self) -> dict[str, Any]:
        """What was computed, and with what it was begun.

        Raises
        ------
        CwdaError
            If the folder holds no survey.
        """
        path = self.folder / SETTINGS
        if not self.folder.is_dir():
            missing = "no such folder; cwda survey makes one"
            raise CwdaError(f"{self.folder}: {_FILE if self.folder.exists() else missing}")
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CwdaError(f"{self.folder}: holds no survey: {SETTINGS} is missing") from None
        except OSError as error:
            raise CwdaError(f"{path}: cannot be read ({error.strerror or error})") from None
        except ValueError:
            settings = None
        if not isinstance(settings, dict):
            raise CwdaError(f"{path}: is damaged; begin the survey anew in another folder")
        return settings

    def marked(self) -> list[str]:
        """The names of the parts that are whole."""
        try:
            names = os.listdir(self.folder / NETWORKS.name)
        except OSError:
            return []
        return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))

    def read(self, table: Table, parts: Iterable[str]) -> pa.Table:
        """These parts of a table, one below the other.

        Raises
        ------
        CwdaError
            If one is damaged or missing.
        """
        require_pyarrow()
        import pyarrow as pa
        import pyarrow.dataset as ds

        paths = [self._path(table.name, part) for part in parts]
        if not paths:
            return table.schema.empty_table()
        try:
            whole: pa.Table = ds.dataset(
                [str(path) for path in paths], schema=table.schema, format="parquet"
            ).to_table()
        except (pa.ArrowException, OSError):
            raise CwdaError(self._damaged(paths)) from None
        return whole

    def _damaged(self, paths: Iterable[Path]) -> str:
        """Which of the files cannot be read, and what to do."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in paths:
            mark = self._path(NETWORKS.name, path.stem)
            try:
                pq.read_metadata(path)
            except (pa.ArrowException, OSError) as error:
                what = "is missing" if isinstance(error, FileNotFoundError) else "is damaged"
                return f"{path}: {what}; delete {mark} and run the survey again"
        return f"{self.folder}: the tables cannot be read; were they written by another version?"

    def put(self, part: str, tables: Mapping[str, bytes]) -> None:
        """Write the tables of one source, the mark last.

        Parameters
        ----------
        part : str
            Name of the parts.
        tables : mapping of str to bytes
            Parquet files by the names of their tables; `networks` among them.

        Raises
        ------
        CwdaError
            If the disk is full or the folder cannot be written; nothing is marked then.
        """
        names = sorted(tables, key=lambda name: name == NETWORKS.name)
        partials: dict[str, str] = {}
        with self._writing():
            try:
                for name in names:
                    partials[name] = self._write(name, tables[name])
                for name in names:
                    os.replace(partials[name], self._path(name, part))
                    del partials[name]
            finally:
                for partial in partials.values():
                    with suppress(OSError):
                        os.unlink(partial)

    def pack(self, parts: Iterable[str], folder: Path) -> Store:
        """A copy of these parts with one file for each table, the mark last.

        Raises
        ------
        CwdaError
            If a part is damaged, or the folder cannot be written or is not empty.
        """
        import pyarrow.parquet as pq

        listed = list(parts)
        measured = [part for part in listed if not part.startswith(WITHOUT_RESULT)]
        packed = Store(folder)
        packed.begin({**self.settings(), _PACKED: True})
        for table in (*MEASURED, NETWORKS):
            own = listed if table is NETWORKS else measured
            path = packed._path(table.name, _ALL)
            with (
                packed._writing(),
                whole_file(path) as partial,
                pq.ParquetWriter(partial, table.schema, compression="zstd") as file,
            ):
                for first in range(0, len(own), _AT_A_TIME):
                    file.write_table(self.read(table, own[first : first + _AT_A_TIME]))
        return packed

    def remove(self, part: str) -> None:
        """Take a mark away, so that its source is analysed again.

        Raises
        ------
        CwdaError
            If the folder cannot be written.
        """
        with self._writing():
            self._path(NETWORKS.name, part).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what runs that were killed left half written."""
        for name in TABLES:
            for partial in (self.folder / name).glob(f"*{_PARTIAL}"):
                with suppress(OSError):
                    partial.unlink()

    def _write(self, table: str, content: bytes) -> str:
        handle, path = tempfile.mkstemp(dir=self.folder / table, suffix=_PARTIAL)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(path, 0o666 & ~_umask())
        except BaseException:
            os.unlink(path)
            raise
        return path

    def _path(self, table: str, part: str) -> Path:
        return self.folder / table / f"{part}{_SUFFIX}"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except CwdaError:
            raise
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            shown = str(self.folder).replace("\0", "\\0")[:_SHOWN]
            raise CwdaError(f"{shown}: cannot be written ({reason})") from error


def as_part(table: Table, cells: list[dict[str, Any]]) -> bytes:
    """Rows of a table as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    texts = [part.name for part in table.schema if pa.types.is_string(part.type)]
    # Numbers do not repeat, and files this small are read whole: less is written, and faster.
    pq.write_table(
        pa.Table.from_pylist(cells, schema=table.schema),
        sink,
        compression="zstd",
        use_dictionary=texts,
        write_statistics=False,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
