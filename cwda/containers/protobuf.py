"""The wire format of protocol buffers: fields of a message in place, without a schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cwda.errors import UnreadableError

__all__ = ["Budget", "Message", "Value", "varints"]

#: Most fields of a file; a node or tensor has about ten.
MAX_FIELDS = 4_000_000


@dataclass(slots=True)
class Budget:
    """Fields that may still be read, so that tiny ones cannot take hours."""

    left: int = MAX_FIELDS


@dataclass(frozen=True, slots=True)
class Message:
    """The bytes of a message or of another field with a length.

    Attributes
    ----------
    data : memoryview
    budget : Budget
        Shared by all messages of one file.
    """

    data: memoryview
    budget: Budget = field(default_factory=Budget)

    def fields(self) -> Iterator[tuple[int, Value]]:
        """Number and value of each field, in order.

        Raises
        ------
        UnreadableError
            If a field reaches past the end or has an unknown wire type, or if the file
            has more fields than any model.
        """
        data, position, end = self.data, 0, len(self.data)
        budget = self.budget
        while position < end:
            budget.left -= 1
            if budget.left < 0:
                raise UnreadableError(
                    f"more than {MAX_FIELDS:,} fields, which no model needs; refused"
                )
            tag, position = _varint(data, position)
            number, wire = tag >> 3, tag & 7
            if wire == 0:
                value, position = _varint(data, position)
                yield number, value
                continue
            if wire == 2:
                length, position = _varint(data, position)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise _damaged()
            if number == 0 or position + length > end:
                raise _damaged()
            part = data[position : position + length]
            position += length
            yield number, Message(part, budget) if wire == 2 else _fixed(part)

    def text(self) -> str:
        """The bytes as text."""
        return bytes(self.data).decode("utf-8", "replace")


#: A varint or fixed-width number as int, anything with a length as a message.
Value = int | Message


def varints(data: memoryview) -> npt.NDArray[np.uint64]:
    """The numbers of a packed field, modulo 2^64.

    Examples
    --------
    >>> varints(memoryview(bytes([3, 0xAC, 0x02])))
    array([  3, 300], dtype=uint64)
    """
    stored = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(stored < 0x80)
    if len(stored) and (not len(ends) or ends[-1] != len(stored) - 1):
        raise _damaged()
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > 10:
        raise _damaged()
    numbers = np.zeros(len(ends), dtype=np.uint64)
    starts = ends - lengths + 1
    for place in range(int(lengths.max(initial=0))):
        has = lengths > place
        bits = (stored[starts[has] + place] & 0x7F).astype(np.uint64)
        numbers[has] |= bits << np.uint64(7 * place)
    return numbers


def _damaged() -> UnreadableError:
    return UnreadableError("the ONNX data are damaged; download or copy the file again")


def _fixed(part: memoryview) -> int:
    return int.from_bytes(part, "little")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    if position < len(data) and data[position] < 0x80:  # nearly all are of one byte
        return data[position], position + 1
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _damaged()
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & (2**64 - 1), position
    raise _damaged()
