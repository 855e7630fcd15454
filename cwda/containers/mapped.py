"""A file mapped into memory: pages are read when they are touched, and only then."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from cwda.containers.archives import Archive
from cwda.errors import UnreadableError
from cwda.progress import counter

__all__ = ["MappedFile", "map_file", "sha256"]

#: Bytes that are read at once.
_PIECE = 1 << 20


@dataclass(frozen=True, eq=False)
class MappedFile:
    """A file as a buffer.

    Attributes
    ----------
    path : Path
        Where it is.
    data : mmap.mmap
        Its bytes; private and copy-on-write, so that nothing can change the file.
    on_disk : bool
        Whether these are the bytes of the file itself, not those inside its compressed data.
    """

    path: Path
    data: mmap.mmap
    on_disk: bool = True

    @cached_property
    def head(self) -> bytes:
        """Its first 512 bytes, in which most formats show themselves."""
        return bytes(self.data[:512])

    @cached_property
    def archive(self) -> Archive | None:
        """The zip archive that it is; None if it is not one.

        Raises
        ------
        UnreadableError
            If the archive is damaged.
        """
        if self.head[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
            return None
        return Archive(self.part, cast(BinaryIO, self.data), self.size)

    def holds(self, ending: str) -> bool:
        """Whether it is an archive with an entry of this name, in any of its folders."""
        names = self.archive.names if self.archive is not None else ()
        return any(name.rpartition("/")[2] == ending for name in names)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.data)

    def part(self, start: int, length: int) -> Callable[[], memoryview]:
        """A function that gives a part of the file; the bounds are checked now."""
        if start < 0 or length < 0 or start + length > self.size:
            raise UnreadableError(
                f"the file ends at byte {self.size:,} but data are announced up to byte "
                f"{start + length:,}: it is cut off; download or copy it again"
            )
        return lambda: memoryview(self.data)[start : start + length]


def map_file(path: Path) -> MappedFile:
    """Map a regular, non-empty file."""
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its other end
        raise UnreadableError("not a regular file; give a file with trained weights")
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise UnreadableError("the file is empty; download or copy it again")
        return MappedFile(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        counter(f"reading {path.name}", os.fstat(file.fileno()).st_size, unit="B") as count,
    ):
        while piece := file.read(_PIECE):
            digest.update(piece)
            count.advance(len(piece))
    return digest.hexdigest()
