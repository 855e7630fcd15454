"""The wire format of protocol buffers: fields of a message in place, without a schema."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.errors import UnreadableError

__all__ = ["Value", "fields", "packed", "text"]

#: A varint or fixed-width number as int, anything with a length as a view of its bytes.
Value = int | memoryview


def _damaged() -> UnreadableError:
    return UnreadableError("the ONNX data are damaged; download or copy the file again")


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in order.

    Raises
    ------
    UnreadableError
        If a field reaches past the end or has an unknown wire type.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _damaged()
        if number == 0 or position + length > end:
            raise _damaged()
        part = message[position : position + length]
        position += length
        yield number, part if wire == 2 else int.from_bytes(part, "little")


def packed(value: Value) -> list[int]:
    """The varints of a repeated field, packed or single."""
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


def text(value: Value) -> str:
    """A field of text."""
    if isinstance(value, int):
        raise _damaged()
    return bytes(value).decode("utf-8", "replace")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
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
