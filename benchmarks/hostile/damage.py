"""What can be wrong with the bytes of any file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["DAMAGES"]

Rng = np.random.Generator
_HEADERS = (
    b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n",
    b"\x08\x08\x12\x00", b"\x40\0\0\0\0\0\0\0{", b"\x1f\x8b\x08", b"(dp0\n", b"\0" * 16, b"",
)  # fmt: skip
_LARGE = (
    b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\xff" * 7 + b"\x7f", b"\0\0\0\x80",
    b"\xff" * 9 + b"\x01", b"\0\0\0\0\1\0\0\0", b"99999999", b"\0\0\0\x40", b"-1",
)  # fmt: skip


def _place(rng: Rng, data: bytes) -> int:
    """A position, half of the time near an end, where formats keep their structure."""
    if rng.random() < 0.5:
        near = int(rng.integers(0, min(len(data), 700)))
        return near if rng.random() < 0.5 else len(data) - 1 - near
    return int(rng.integers(0, len(data)))


def _truncated(rng: Rng, data: bytes) -> bytes:
    return data[: _place(rng, data)]


def _flipped(rng: Rng, data: bytes) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 8, 64]))):
        damaged[_place(rng, data)] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def _overwritten(rng: Rng, data: bytes) -> bytes:
    start, length = _place(rng, data), int(rng.choice([1, 4, 16, 64, 512]))
    fill = (b"\0" * length, b"\xff" * length, rng.bytes(length))[int(rng.integers(0, 3))]
    return data[:start] + fill + data[start + length :]


def _moved(rng: Rng, data: bytes) -> bytes:
    start, target = _place(rng, data), _place(rng, data)
    piece = data[start : start + int(rng.integers(1, 256))]
    rest = data if rng.random() < 0.5 else data[:start] + data[start + len(piece) :]
    return rest[:target] + piece + rest[target:]


def _header(rng: Rng, data: bytes) -> bytes:
    header = _HEADERS[int(rng.integers(0, len(_HEADERS)))]
    skipped = len(header) if rng.random() < 0.5 else int(rng.integers(1, 32))
    return header + data[skipped:]


def _inflated(rng: Rng, data: bytes) -> bytes:
    """Numbers become huge: sizes, counts, offsets."""
    damaged = data
    for _ in range(int(rng.choice([1, 1, 3]))):
        large, place = _LARGE[int(rng.integers(0, len(_LARGE)))], _place(rng, data)
        damaged = damaged[:place] + large + damaged[place + len(large) :]
    return damaged


def _appended(rng: Rng, data: bytes) -> bytes:
    return data + rng.bytes(int(rng.choice([1, 22, 1000])))


DAMAGES: dict[str, Callable[[Rng, bytes], bytes]] = {
    "truncated": _truncated,
    "bits flipped": _flipped,
    "bytes overwritten": _overwritten,
    "pieces moved": _moved,
    "wrong header": _header,
    "numbers inflated": _inflated,
    "bytes appended": _appended,
}
