"""Texts of an HDF5 file lie in heaps; a damaged one must not send the library round in circles.

Reading a heap, the HDF5 library goes from object to object by their sizes, and never ends where
a free one has the size 0 (measured with HDF5 2.0). So the heaps are walked here first, without
the library, as its section "Global heap" of the format's specification has them.
"""

from __future__ import annotations

import mmap
import struct

from cwda.errors import UnreadableError

__all__ = ["require_sound_heaps"]

_SIGNATURE = b"GCOL\x01"
_HEADER = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
#: Most objects of all heaps together; Keras writes one per name.
_MOST_OBJECTS = 1_000_000
_DAMAGED = "the HDF5 file is damaged (a heap of texts); download or copy it again"


def require_sound_heaps(data: bytes | mmap.mmap) -> None:
    """Walk every global heap of a file.

    Raises
    ------
    UnreadableError
        If one cannot be walked to its end, or they hold more objects than a model needs.
    """
    left = _MOST_OBJECTS
    at = data.find(_SIGNATURE)
    while at >= 0:
        left -= _objects(data, at, left)
        at = data.find(_SIGNATURE, at + 1)


def _objects(data: bytes | mmap.mmap, start: int, most: int) -> int:
    """Number of objects of one heap; 0 where its size says that it is not one."""
    if start + _HEADER.size > len(data):
        return 0
    size = _HEADER.unpack_from(data, start)[2]
    end = start + size
    if end > len(data):  # the library refuses it, or these bytes are weights
        return 0
    place, count = start + _HEADER.size, 0
    while place + _OBJECT.size <= end:
        index, _, length = _OBJECT.unpack_from(data, place)
        # A free object's size counts its header, any other's does not; both fill eights.
        place += length if index == 0 else _OBJECT.size + -(-length // 8) * 8
        count += 1
        if (index == 0 and length < _OBJECT.size) or place > end or count > most:
            raise UnreadableError(_DAMAGED)
    return count
