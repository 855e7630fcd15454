"""Files that are written: checked before the work, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cwda.errors import CwdaError

__all__ = ["replacement", "require_folder", "require_writable", "whole_file"]


def require_writable(path: Path, formats: Sequence[str] = ()) -> None:
    """Raise unless a file can be written to `path`; called before any long work.

    Raises
    ------
    CwdaError
        If the suffix is none of `formats` (any will do where there are none), or no file can be
        made in the folder.
    """
    if formats and path.suffix not in formats:
        raise CwdaError(f"{path}: unknown format; end the name with {', '.join(formats)}")
    if not path.parent.is_dir():
        raise CwdaError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise CwdaError(f"{path}: is a folder")
    if path.exists() and not os.access(path, os.W_OK):
        raise CwdaError(f"{path}: no permission to write there")
    _require_room(path, path.parent)


def require_folder(path: Path) -> None:
    """Raise unless files can be written to the folder `path`, which is made where it is missing.

    Raises
    ------
    CwdaError
        If it is a file, or no file can be made in it or in the nearest folder above it.
    """
    place = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not place.is_dir():
        raise CwdaError(f"{path}: {place} is a file, not a folder")
    _require_room(path, place)


def _require_room(path: Path, folder: Path) -> None:
    """Raise unless the system makes a file in a folder: permissions do not tell of all that may be.

    A disk may be read-only, or full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except PermissionError:
        raise CwdaError(f"{path}: no permission to write there") from None
    except OSError as error:
        raise CwdaError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """A file next to `path` to write to, which takes its place if nothing is raised.

    Raises
    ------
    OSError
        If it cannot be made or moved; what the body raises passes, and `path` is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)  # mkstemp gives 0600; what is written is for others too
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Like `replacement`, for a body that only writes: its errors become one line.

    Raises
    ------
    CwdaError
        If writing fails; `path` is then as it was.
    """
    try:
        with replacement(path) as partial:
            yield partial
    except OSError as error:
        raise CwdaError(f"{path}: cannot be written ({error.strerror or error})") from error
