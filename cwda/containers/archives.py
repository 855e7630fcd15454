"""Zip archives: entries found through the directory, stored ones mapped, none unpacked to disk."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, cast

from cwda.containers.tensors import printable
from cwda.errors import UnreadableError

__all__ = ["Archive", "archive_of_bytes"]

#: Most bytes that a compressed entry may unfold to, as a multiple of the archive's size.
MAX_EXPANSION = 50
#: Most bytes beyond the archive's size that one entry, and all that are used, may unfold to.
MAX_ENTRY, MAX_ENTRIES = 1 << 28, 1 << 30
#: Longest directory; a hundred thousand entries take ten megabytes, and ten times that unpacked.
MAX_DIRECTORY = 40_000_000
_DAMAGED = "the archive is damaged ({}); download or copy the file again"


class Archive:
    """A zip archive over a buffer.

    Parameters
    ----------
    part : callable
        Gives a function for ``(start, length)`` of the buffer, as `MappedFile.part`.
    file : binary file
        The same bytes, for the standard library's `zipfile`, which reads the directory.
    size : int
        Number of bytes.
    """

    def __init__(
        self, part: Callable[[int, int], Callable[[], memoryview]], file: IO[bytes], size: int
    ) -> None:
        self._part = part
        self._size = size
        self._sound: set[str] = set()
        self._unfolded: set[str] = set()
        self._total = 0
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], _Directory(file)))
        except (
            zipfile.BadZipFile,
            ValueError,
            struct.error,
            OSError,
            NotImplementedError,
        ) as error:
            # Python says so where the directory at the end is missing, as of half a download.
            cut = "File is not a zip file" in str(error)
            why = "its end is missing" if cut else str(error)[:80]
            raise UnreadableError(_DAMAGED.format(why)) from None
        self._entries = {info.filename: info for info in self._zip.infolist()}

    @property
    def begins(self) -> int:
        """Where its first entry lies: after 0 where something comes before the archive."""
        return min((info.header_offset for info in self._entries.values()), default=0)

    @property
    def names(self) -> list[str]:
        """Names of all entries, in order."""
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def length(self, name: str) -> int:
        """Size of an entry once unfolded."""
        if name not in self._entries:
            raise UnreadableError(_DAMAGED.format(f"it lacks the entry {printable(name)[:80]}"))
        return self._entries[name].file_size

    def fetch(self, name: str) -> Callable[[], memoryview]:
        """A function that gives an entry's bytes: mapped if stored, else unfolded."""
        length = self.length(name)
        info = self._entries[name]
        if info.flag_bits & 0x1:
            raise UnreadableError("the archive is encrypted; give an open one")
        if info.compress_type == zipfile.ZIP_STORED:
            stored = self._part(self._data_offset(info), length)
            return lambda: self._verified(info, stored())
        if name not in self._unfolded:
            self._unfolded.add(name)
            self._total += length
        allowed = min(MAX_EXPANSION * self._size, MAX_ENTRY + self._size)
        if length > allowed or self._total > MAX_ENTRIES + self._size:
            raise UnreadableError(
                f"the entry {printable(name)[:80]} unfolds to {length:,} bytes from a file of "
                f"{self._size:,}; refused"
            )
        return lambda: memoryview(bytearray(self._unfold(info)))

    def read(self, name: str) -> bytes:
        """An entry's bytes."""
        return bytes(self.fetch(name)())

    def _verified(self, info: zipfile.ZipInfo, data: memoryview) -> memoryview:
        # PyTorch can be told to leave checksums out, and then writes 0.
        if info.CRC and info.filename not in self._sound:
            if zlib.crc32(data) != info.CRC:
                raise UnreadableError(_DAMAGED.format("an entry's checksum is wrong"))
            self._sound.add(info.filename)
        return data

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        # The local header may have another extra field than the directory has.
        header = self._part(info.header_offset, 30)()
        if bytes(header[:4]) != b"PK\x03\x04":
            raise UnreadableError(_DAMAGED.format("an entry is not where the directory says"))
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return info.header_offset + 30 + int(name_length) + int(extra_length)

    def _unfold(self, info: zipfile.ZipInfo) -> bytes:
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise UnreadableError("the archive is compressed in an unusual way; pack it again")
        packed = self._part(self._data_offset(info), info.compress_size)()
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, max(info.file_size, 1))
        except zlib.error as error:
            raise UnreadableError(_DAMAGED.format(error)) from None
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise UnreadableError(_DAMAGED.format("an entry's checksum is wrong"))
        return data


class _Directory:
    """A file of which `zipfile` may read the directory, which it does in one piece, if small."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._read = file.seek, file.tell, file.read

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes")
        return self._read(size)


def archive_of_bytes(data: bytes) -> Archive:
    """The archive inside a byte string."""
    view = memoryview(data)

    def part(start: int, length: int) -> Callable[[], memoryview]:
        if start < 0 or start + length > len(view):
            raise UnreadableError(_DAMAGED.format("an entry reaches past its end"))
        return lambda: view[start : start + length]

    return Archive(part, io.BytesIO(data), len(data))
