"""Fetch a file over HTTP: time limits, retries, resumption, a checked hash, an atomic rename."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cwda.files import replacement

__all__ = ["HashMismatchError", "fetch"]

ATTEMPTS = 5
#: Seconds without a byte after which a connection counts as cut.
TIMEOUT = 20.0
#: Seconds before the second attempt; doubled before each further one.
PAUSE = 0.5
_CHUNK = 1 << 18


class HashMismatchError(Exception):
    """The bytes that came are not those that the name promises."""


@dataclass
class _Partial:
    """What has come so far, and which version of the file it belongs to."""

    file: IO[bytes]
    validator: str = ""

    @property
    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def restart(self) -> None:
        self.file.seek(0)
        self.file.truncate()


def fetch(url: str, path: Path, prefix: str | None = None, *, progress: bool = False) -> None:
    """Download `url` to `path`, which appears only once it is whole and its hash is right.

    A cut connection is taken up where it ended if the server can do so for the same version
    of the file, else from the beginning. Each process writes to a temporary file of its own,
    so that several may fetch the same file at once.

    Parameters
    ----------
    url : str
    path : Path
        Its folder must exist.
    prefix : str, optional
        Beginning of the SHA-256 in hexadecimal digits.
    progress : bool
        Whether to show a bar on standard error.

    Raises
    ------
    HashMismatchError
        If the hash is wrong; nothing is kept.
    OSError, http.client.HTTPException
        If the download fails for good, as `urllib.error.HTTPError`.
    """
    with replacement(path) as temporary:
        with temporary.open("w+b") as file:
            _persist(url, _Partial(file), progress)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if prefix and not digest.startswith(prefix):
            raise HashMismatchError(digest)


def _persist(url: str, partial: _Partial, progress: bool) -> None:
    pause = PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(url, partial, progress)
            return
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS or not _may_pass(error):
                raise
        time.sleep(pause)
        pause *= 2


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 416, 429)
    # Nobody listens, or the name is unknown: that does not change within seconds.
    refused = isinstance(error, urllib.error.URLError) and not isinstance(
        error.reason, TimeoutError | ConnectionResetError
    )
    return not refused


def _attempt(url: str, partial: _Partial, progress: bool) -> None:
    headers = {"User-Agent": "cwda", "Accept-Encoding": "identity"}
    have = partial.size
    if have and partial.validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": partial.validator}
    else:
        partial.restart()
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the file is shorter now
            partial.restart()
        raise
    with response:
        begin = _begin(response)
        if begin is None or begin != have:
            partial.restart()
        strong = response.headers.get("ETag", "")
        partial.validator = (
            "" if strong.startswith("W/") else strong or response.headers.get("Last-Modified", "")
        )
        _copy(response, partial, progress)


def _begin(response: Any) -> int | None:
    """Where the bytes of a partial answer begin; None for a whole one."""
    if response.status != http.client.PARTIAL_CONTENT:
        return None
    span = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not span.isdecimal():
        raise http.client.HTTPException("a partial answer that does not say which part it is")
    return int(span)


def _copy(response: Any, partial: _Partial, progress: bool) -> None:
    begun = partial.size
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdecimal() else None
    with _bar(progress, begun, expected) as show:
        came = 0
        while block := response.read(_CHUNK):
            partial.file.write(block)
            came += len(block)
            show(begun + came)
    if expected is not None and came < expected:
        raise http.client.IncompleteRead(b"", expected - came)


@contextlib.contextmanager
def _bar(progress: bool, begun: int, expected: int | None) -> Iterator[Any]:
    if not progress:
        yield lambda completed: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total = None if expected is None else begun + expected
        task = bar.add_task("download", total=total, completed=begun)
        yield lambda completed: bar.update(task, completed=completed)
