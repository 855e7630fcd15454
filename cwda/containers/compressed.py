"""Files that one stream of gzip, bzip2, xz or zlib was made of, unpacked within bounds."""

from __future__ import annotations

import bz2
import lzma
import mmap
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

from cwda.containers.archives import MAX_ENTRY, MAX_EXPANSION
from cwda.containers.mapped import MappedFile
from cwda.errors import CwdaError, UnreadableError, reason_of

__all__ = ["compression_of", "unpacked"]

_PIECE = 1 << 20

#: Beginning of a file, the name of its compression, and a decompressor.
_STREAMS: tuple[tuple[bytes, str, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", "gzip", lambda: zlib.decompressobj(16 + zlib.MAX_WBITS)),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", "xz", lambda: lzma.LZMADecompressor(memlimit=1 << 28)),
    *((bytes((0x78, level)), "zlib", zlib.decompressobj) for level in (0x01, 0x5E, 0x9C, 0xDA)),
)


def compression_of(head: bytes) -> str:
    """The name of a file's compression, or nothing."""
    return next((name for magic, name, _ in _STREAMS if head.startswith(magic)), "")


def unpacked(file: MappedFile) -> MappedFile:
    """The file inside, in memory.

    Raises
    ------
    UnreadableError
        If it is damaged or much larger than the file.
    """
    head = bytes(file.data[:16])
    name, make = next((name, make) for magic, name, make in _STREAMS if head.startswith(magic))
    try:
        pieces = _pieces(file, make(), name)
    except CwdaError:
        raise
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise UnreadableError(
            f"the {name} data are damaged ({reason_of(error)}); download or copy the file again"
        ) from None
    total = sum(map(len, pieces))
    if not total:
        raise UnreadableError(
            f"the {name}-compressed file inside is empty; download or copy it again"
        )
    data = mmap.mmap(-1, total)
    while pieces:  # each is freed once it is written
        data.write(pieces.popleft())
    return MappedFile(file.path, data, on_disk=False)


def _pieces(file: MappedFile, decompressor: Any, name: str) -> deque[bytes]:
    """The unpacked bytes; only the first of several streams, which is all that programs write."""
    allowed = min(MAX_EXPANSION * file.size, MAX_ENTRY + file.size)
    pieces: deque[bytes] = deque()
    total, position, waiting = 0, 0, b""
    while not decompressor.eof:
        if not waiting and getattr(decompressor, "needs_input", True):
            waiting = bytes(file.data[position : position + _PIECE])
            position += len(waiting)
            if not waiting:
                raise EOFError("it is cut off")
        piece = decompressor.decompress(waiting, _PIECE)
        waiting = getattr(decompressor, "unconsumed_tail", b"")
        total += len(piece)
        if total > allowed:
            raise UnreadableError(
                f"the {name} data unfold to more than {allowed:,} bytes from a file of "
                f"{file.size:,}; refused"
            )
        pieces.append(piece)
    return pieces
