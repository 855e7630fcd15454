"""Tensors of an ONNX file: sizes and element types now, values when they are asked for.

Field numbers and element types are those of ``onnx.proto``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.containers.mapped import MappedFile, map_file
from cwda.containers.protobuf import Message, Value, varints
from cwda.containers.storages import from_buffer
from cwda.containers.tensors import printable
from cwda.errors import UnreadableError

__all__ = ["DAMAGED", "INTEGER_RANGES", "STORED", "Constant", "ExternalData", "read_tensor", "text"]

DAMAGED = "the ONNX data are damaged; download or copy the file again"

#: Types of whole bytes, by ONNX's number.
STORED = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.uint32,
    13: torch.uint64,
    14: torch.complex64,
    15: torch.complex128,
    16: torch.bfloat16,
    17: torch.float8_e4m3fn,
    18: torch.float8_e4m3fnuz,
    19: torch.float8_e5m2,
    20: torch.float8_e5m2fnuz,
}
#: Elements of less than a byte, lowest bits first, and powers of two: bits, values by code.
_CODES: dict[int, tuple[int, Tensor]] = {
    21: (4, torch.arange(16, dtype=torch.uint8)),
    22: (4, torch.tensor([*range(8), *range(-8, 0)], dtype=torch.int8)),
    23: (4, torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])),
    24: (8, torch.exp2(torch.arange(256, dtype=torch.float64) - 127).float()),
    25: (2, torch.arange(4, dtype=torch.uint8)),
    26: (2, torch.tensor([0, 1, -2, -1], dtype=torch.int8)),
}
#: Smallest and largest number of each integer type.
INTEGER_RANGES = {
    2: (0, 255),
    3: (-128, 127),
    4: (0, 65535),
    5: (-32768, 32767),
    6: (-(2**31), 2**31 - 1),
    21: (0, 15),
    22: (-8, 7),
    25: (0, 3),
    26: (-2, 1),
}

_MAX_AXES = 64
#: Packed numbers decoded at once.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Constant:
    """A stored tensor.

    Attributes
    ----------
    name : str
        Printable; empty for the value of a Constant node.
    shape : tuple of int
    kind : int
        Element type by ONNX's number.
    dtype : torch.dtype or None
        Type of the values that `read` gives; None where it cannot give any.
    nbytes : int
        Its size in the file.
    read : callable
        Gives the values, in memory of their own.
    reason : str
        Why it cannot be read; empty if it can.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    dtype: torch.dtype | None
    nbytes: int
    read: Callable[[], Tensor]
    reason: str = ""


@dataclass
class ExternalData:
    """Files of data next to the model, each mapped once."""

    folder: Path
    files: dict[Path, MappedFile] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def fetch(self, where: dict[str, str], nbytes: int) -> Callable[[], memoryview]:
        """Bytes of a file next to the model; only inside its folder."""
        location = PurePosixPath(where.get("location", ""))
        path, shown = self.folder / location, printable(str(location))[:80]
        if "\0" in str(location):
            raise UnreadableError(DAMAGED)
        if location.is_absolute() or ".." in location.parts or not location.parts:
            raise UnreadableError(f"its data lie outside the model's folder ({shown}); refused")
        if path not in self.files:
            if not path.is_file():  # a link that leads to itself is not a file either
                raise UnreadableError(f"its data file {shown} is missing; put it next to the model")
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise UnreadableError(f"its data lie outside the model's folder ({shown}); refused")
            self.files[path] = map_file(path)
        offset, length = where.get("offset") or "0", where.get("length") or str(nbytes)
        if not (offset.isdecimal() and length.isdecimal() and len(offset + length) < 40):
            raise UnreadableError(DAMAGED)
        return self.files[path].part(int(offset), int(length))


@dataclass(slots=True)
class _Proto:
    """The fields of a TensorProto."""

    shape: list[int] = field(default_factory=list)
    kind: int = 0
    name: str = ""
    raw: Message | None = None
    external: bool = False
    typed: list[tuple[int, Value]] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)


def read_tensor(message: Message, external: ExternalData) -> tuple[str, Constant]:
    """The name of a TensorProto as the file has it, and the tensor."""
    proto = _parse(message)
    sizes, kind, shown = tuple(proto.shape), proto.kind, printable(proto.name)
    dtype = _CODES[kind][1].dtype if kind in _CODES else STORED.get(kind)
    numel = math.prod(sizes)
    if dtype is None or len(sizes) > _MAX_AXES or numel >= 2**60:
        reason = f"elements of ONNX type {kind}" if dtype is None else "its sizes are impossible"
        return proto.name, _unreadable(shown, sizes, kind, reason)
    bits = _CODES[kind][0] if kind in _CODES else 8 * dtype.itemsize
    nbytes = -(-numel * bits // 8)
    if proto.external:
        fetch = external.fetch(proto.where, nbytes)
        available = nbytes if not proto.where.get("length") else int(proto.where["length"])
    elif proto.raw is not None:
        kept = proto.raw.data
        fetch, available = (lambda: kept), len(kept)
    else:
        available = _announced(proto.typed) * max(dtype.itemsize, 1)
        fetch = _typed(proto.typed, 1 if kind in _CODES else dtype.itemsize)
    if available < nbytes:
        reason = f"its data end after {available:,} of {nbytes:,} bytes; copy the file again"
        return proto.name, _unreadable(shown, sizes, kind, reason)
    read = _reader(fetch, nbytes, kind, dtype, sizes)
    return proto.name, Constant(shown, sizes, kind, dtype, nbytes, read)


def _parse(message: Message) -> _Proto:
    proto = _Proto()
    for number, value in message.fields():
        if number == 1:
            sizes = [value] if isinstance(value, int) else varints(value.data[:640]).tolist()
            proto.shape += sizes
            del proto.shape[_MAX_AXES + 1 :]
        elif number == 2 and isinstance(value, int):
            proto.kind = value
        elif number == 8:
            proto.name = text(value)
        elif number == 9 and not isinstance(value, int):
            proto.raw = value
        elif number == 13 and not isinstance(value, int):
            pair = {key: text(part) for key, part in value.fields()}
            proto.where[pair.get(1, "")] = pair.get(2, "")
        elif number == 14:
            proto.external = value == 1
        elif number in (4, 5, 7, 10, 11):
            proto.typed.append((number, value))
    return proto


def _unreadable(name: str, shape: tuple[int, ...], kind: int, reason: str) -> Constant:
    def read() -> Tensor:
        raise UnreadableError(reason)

    return Constant(name, shape, kind, None, 0, read, reason)


def _reader(
    fetch: Callable[[], memoryview],
    nbytes: int,
    kind: int,
    dtype: torch.dtype,
    shape: tuple[int, ...],
) -> Callable[[], Tensor]:
    def read() -> Tensor:
        data = fetch()
        if len(data) < nbytes:
            raise UnreadableError(
                f"a tensor's data end after {len(data):,} of {nbytes:,} bytes; "
                "download or copy the file again"
            )
        if kind in _CODES:
            return _decoded(data[:nbytes], kind)[: math.prod(shape)].reshape(shape)
        return from_buffer(data[:nbytes], dtype).reshape(shape).clone()

    return read


def _decoded(data: memoryview, kind: int) -> Tensor:
    """Elements of less than a byte, or codes of a table, one by one."""
    bits, values = _CODES[kind]
    packed = from_buffer(data, torch.uint8)
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8)
    codes = (packed[:, None] >> shifts) & (2**bits - 1)
    return values[codes.flatten().int()]


def _announced(values: list[tuple[int, Value]]) -> int:
    """At most how many elements the typed fields hold."""
    widths = {4: 4, 10: 8}
    return sum(
        1 if isinstance(value, int) else len(value.data) // widths.get(number, 1)
        for number, value in values
    )


def _typed(values: list[tuple[int, Value]], itemsize: int) -> Callable[[], memoryview]:
    """Bytes of float_data, double_data, int32_data, int64_data or uint64_data."""

    def fetch() -> memoryview:
        data = bytearray()
        for number, value in values:
            if number in (4, 10):  # fixed width, packed or one by one
                width = 4 if number == 4 else 8
                data += value.to_bytes(width, "little") if isinstance(value, int) else value.data
            elif isinstance(value, int):
                data += _low(np.array([value], dtype=np.uint64), itemsize)
            else:
                for part in _pieces(value.data):
                    data += _low(varints(part), itemsize)
        return memoryview(data)

    return fetch


def _low(numbers: npt.NDArray[np.uint64], itemsize: int) -> bytes:
    """The low bytes of varints, which are the elements (those of float16 as its bits)."""
    return numbers.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :itemsize].tobytes()


def _pieces(data: memoryview) -> Iterator[memoryview]:
    """Packed varints in pieces of about a megabyte, none of them cut."""
    start = 0
    while start < len(data):
        stop = min(start + _CHUNK, len(data))
        while stop < len(data) and stop - start < _CHUNK + 10 and data[stop - 1] >= 0x80:
            stop += 1
        yield data[start:stop]
        start = stop


def text(value: Value) -> str:
    """A field that must be text."""
    if isinstance(value, int):
        raise UnreadableError(DAMAGED)
    return value.text()
