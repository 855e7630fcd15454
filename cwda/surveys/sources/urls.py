"""Checkpoints behind URLs: found by patterns, and fetched for the time that they are needed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

from cwda.errors import SourceError, reason_of
from cwda.files import replacement

__all__ = ["at_hand", "forget", "is_url", "matching", "name_in"]

_URL = re.compile(r"[a-z][a-z0-9+.]*://", re.IGNORECASE)
_GLOB = re.compile(r"[*?\[]")

#: Files that are kept at most: those that have been read and are to be measured.
_KEPT = 256


def is_url(text: str) -> bool:
    """Whether a source is a URL, such as ``s3://bucket/net.pth``.

    Examples
    --------
    >>> is_url("s3://bucket/net.pth"), is_url("hf:org/repo"), is_url("nets/net.pth")
    (True, False, False)
    """
    return _URL.match(text) is not None


def name_in(url: str) -> str:
    """The file that a URL names.

    Examples
    --------
    >>> name_in("https://host/nets/one.pth?download=true")
    'one.pth'
    """
    return url.split("?")[0].rstrip("/").rpartition("/")[2] or "file"


def matching(url: str) -> list[str]:
    """The URLs of a pattern, or of all files in a folder (a URL that ends with /); else itself.

    Raises
    ------
    SourceError
        If the place cannot be reached, or there is nothing.
    """
    is_web = url.lower().startswith("http")
    is_pattern = _GLOB.search(url) is not None and not is_web
    if not (is_pattern or url.endswith("/")):
        return [url]
    from cwda.checkpoints.formats import is_usual_name

    system, path = _system(url)
    try:
        found = system.glob(path) if is_pattern else system.find(path)
    except Exception as error:  # each kind of place has errors of its own
        raise SourceError(f"{url}: cannot be listed ({reason_of(error)})") from None
    urls = [system.unstrip_protocol(each) for each in sorted(found)]
    urls = urls if is_pattern else [each for each in urls if is_usual_name(name_in(each))]
    if not urls:
        raise SourceError(f"{url}: nothing there that looks like a checkpoint")
    return urls


def at_hand(url: str, scratch: Path) -> Path:
    """The file of a URL in a folder for such files, fetched if it is not there.

    Raises
    ------
    SourceError
        If it cannot be fetched.
    """
    path = _place(url, scratch)
    if path.exists():
        return path
    _make_room(scratch)
    path.parent.mkdir(exist_ok=True)
    system, there = _system(url)
    try:
        with replacement(path) as partial:
            system.get_file(there, str(partial))
    except FileNotFoundError:
        raise SourceError(f"{url}: no such file; check the address") from None
    except Exception as error:  # each kind of place has errors of its own
        raise SourceError(f"{url}: cannot be fetched ({reason_of(error)})") from None
    return path


def forget(url: str, scratch: Path) -> None:
    """Remove the file of a URL that is no longer needed."""
    shutil.rmtree(_place(url, scratch).parent, ignore_errors=True)


def _place(url: str, scratch: Path) -> Path:
    return scratch / hashlib.sha256(url.encode()).hexdigest()[:16] / name_in(url)


def _system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    try:
        import fsspec
    except ImportError:
        raise SourceError('URLs need fsspec: pip install "cwda[survey]"') from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # s3fs, gcsfs ... are packages of their own
        raise SourceError(f"{url}: {reason_of(error, 120)}") from None
    except Exception as error:
        raise SourceError(f"{url}: cannot be reached ({reason_of(error)})") from None
    return system, str(path)


def _make_room(scratch: Path) -> None:
    """Remove the oldest files."""
    kept = sorted(scratch.iterdir(), key=os.path.getmtime, reverse=True)
    for folder in kept[_KEPT - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
