"""Storages and strided tensors of a torch file, located but not yet read."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cwda.errors import UnreadableError

__all__ = [
    *("DTYPES", "QUANTISED", "STORAGES", "Leaf", "Opaque", "Storage", "StridedTensor"),
    "from_buffer",
]

#: Why integers of a quantised network are not a layer.
QUANTISED = (
    "quantised: integers for fast kernels, not weights as trained; give the model from before "
    "quantisation"
)

#: Element types by the name that a file gives them, such as ``torch.float32``.
DTYPES: dict[str, torch.dtype] = {
    str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)
}

#: Element types by the name of a storage class; None for bytes without a type.
STORAGES: dict[str, torch.dtype | None] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
    "QUInt4x2Storage": torch.quint4x2,
    "QUInt2x4Storage": torch.quint2x4,
    "UntypedStorage": None,
}


@dataclass(eq=False, slots=True)
class Storage:
    """A run of elements of a file.

    Attributes
    ----------
    dtype : torch.dtype or None
        Type of its elements; None for plain bytes.
    numel : int
        Number of elements (bytes where there is no type).
    fetch : callable or None
        Gives its bytes, at least `nbytes` of them; set once the file knows where they are.
    big_endian : bool
        Byte order.
    base, start : Storage or None, int
        For a view into another storage: that one, and the first byte in it.
    """

    dtype: torch.dtype | None
    numel: int
    fetch: Callable[[], memoryview] | None = None
    big_endian: bool = False
    base: Storage | None = None
    start: int = 0

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.numel * (self.dtype.itemsize if self.dtype else 1)

    def buffer(self) -> memoryview:
        """The bytes, not copied where the file maps them."""
        if self.base is not None:
            whole = self.base.buffer()
            data = whole[self.start : self.start + self.nbytes]
        elif self.fetch is not None:
            data = self.fetch()
        else:
            raise UnreadableError("a tensor's data are missing; download or copy the file again")
        if len(data) < self.nbytes:
            raise UnreadableError(
                f"a tensor's data end after {len(data):,} of {self.nbytes:,} bytes; "
                "download or copy the file again"
            )
        return data[: self.nbytes]


@dataclass(frozen=True, eq=False, slots=True)
class Opaque:
    """A tensor that is not a plain array of numbers, and why."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None
    reason: str

    def read(self) -> Tensor:
        """Never has values."""
        raise UnreadableError(self.reason)


@dataclass(frozen=True, eq=False, slots=True)
class StridedTensor:
    """A view into a storage: offset, shape and strides count elements."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def reason(self) -> str:
        """Why it cannot be read at its size; empty if it can."""
        if math.prod(self.shape) > self.storage.nbytes // self.dtype.itemsize:
            return "expanded: it has more elements than the file stores"
        return ""

    @property
    def place(self) -> Hashable:
        """Where its elements lie: the same for two tensors of the same elements."""
        storage, start = self.storage, self.offset * self.dtype.itemsize
        while storage.base is not None:
            start += storage.start
            storage = storage.base
        return (id(storage), start, self.dtype, self.shape, self.stride)

    def check(self) -> None:
        """Raise `UnreadableError` unless every element lies inside the storage."""
        if min((self.offset, *self.shape, *self.stride), default=0) < 0:
            raise UnreadableError("a tensor has a negative size; download or copy the file again")
        if 0 in self.shape:
            return
        last = sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))
        if (self.offset + last + 1) * self.dtype.itemsize > self.storage.nbytes:
            raise UnreadableError(
                f"a tensor of shape {self.shape} reaches past the end of its data; "
                "download or copy the file again"
            )

    def read(self) -> Tensor:
        """The values, contiguous and in memory of their own."""
        self.check()
        if self.reason:
            raise UnreadableError(self.reason)
        if 0 in self.shape:
            return torch.empty(self.shape, dtype=self.dtype)
        flat = from_buffer(self.storage.buffer(), self.dtype, self.storage.big_endian)
        view = flat.as_strided(self.shape, self.stride, self.offset)
        return view.clone(memory_format=torch.contiguous_format)


Leaf = StridedTensor | Opaque


def from_buffer(data: memoryview, dtype: torch.dtype, big_endian: bool = False) -> Tensor:
    """A flat tensor over `data`, sharing its memory where the byte order allows it."""
    if big_endian != (sys.byteorder == "big") and dtype.itemsize > 1:
        part = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        whole = len(data) // part * part
        swapped = np.frombuffer(data[:whole], dtype=f"u{part}").byteswap()
        data = memoryview(bytearray(swapped.tobytes()))
    usable = len(data) // dtype.itemsize * dtype.itemsize
    if usable == 0:
        return torch.empty(0, dtype=dtype)
    if data.readonly:  # torch warns that it could write there
        data = memoryview(bytearray(data))
    return torch.frombuffer(data[:usable], dtype=dtype)
