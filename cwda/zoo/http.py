"""Fetch a file over HTTP: time limits, retries, resumption, a checked hash, an atomic rename.

No library at hand does all of that. `torch.hub.download_url_to_file` checks the hash, but neither
tries again nor resumes. pooch tries again from the beginning. `urllib3.Retry`, alone or in
requests, repeats requests, but not a body that was cut. `huggingface_hub.file_download.http_get`
resumes, but does not ask whether the file is still the same version (``If-Range``), does not try
again after errors of the server, knows no hash, is not part of that package's public interface,
and the package is an extra here.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cwda.files import replacement
from cwda.progress import Counter, counter

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


def fetch(url: str, path: Path, prefix: str | None = None) -> None:
    """Download `url` to `path`, which appears only once it is whole and its hash is right.

    An interrupted download resumes where it stopped if the server can do so for the same
    version of the file, else it begins again. Each process writes to a temporary file of its own,
    so that several may fetch the same file at once.

    Parameters
    ----------
    url : str
    path : Path
        Its folder must exist.
    prefix : str, optional
        Beginning of the SHA-256 in hexadecimal digits.

    Raises
    ------
    HashMismatchError
        If the hash is wrong; nothing is kept.
    OSError, http.client.HTTPException
        If the download fails for good, such as `urllib.error.HTTPError`.
    """
    with replacement(path) as temporary:
        with temporary.open("w+b") as file, counter(path.name, unit="B") as bar:
            _persist(url, _Partial(file), bar)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if prefix and not digest.startswith(prefix):
            raise HashMismatchError(digest)


def _persist(url: str, partial: _Partial, bar: Counter) -> None:
    pause = PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(url, partial, bar)
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


def _attempt(url: str, partial: _Partial, bar: Counter) -> None:
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
        _copy(response, partial, bar)


def _begin(response: Any) -> int | None:
    """Where the bytes of a partial answer begin; None for a whole one."""
    if response.status != http.client.PARTIAL_CONTENT:
        return None
    span = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not span.isdecimal():
        raise http.client.HTTPException("a partial answer that does not say which part it is")
    return int(span)


def _copy(response: Any, partial: _Partial, bar: Counter) -> None:
    begun = partial.size
    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdecimal() else None
    came = 0
    while block := response.read(_CHUNK):
        partial.file.write(block)
        came += len(block)
        bar.update(begun + came, None if expected is None else begun + expected)
    if expected is not None and came < expected:
        raise http.client.IncompleteRead(b"", expected - came)
