"""Protocol buffers that are not ONNX, distinguished by the numbers and kinds of their first fields.

Field numbers are those of the formats' own descriptions: ``saved_model.proto``,
``graph.proto``, ``Model.proto`` of Core ML, ``caffe.proto``, ``caffe2.proto``,
``framework.proto`` of Paddle and ``checkpoint.proto`` of MindSpore.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from cwda.checkpoints.foreign.foreign import TF_MODEL, Foreign, Glance

__all__ = ["MESSAGES"]

_MAX_FIELDS = 64
_WORD = re.compile(rb"[A-Za-z_][\w./:>-]{0,200}")


@dataclass(frozen=True, slots=True)
class _Field:
    """A field: its number, and its varint or the bytes of it that are there."""

    number: int
    value: int | memoryview

    @property
    def inside(self) -> memoryview:
        """The bytes, none for a number."""
        return self.value if isinstance(self.value, memoryview) else memoryview(b"")


def _kind(glance: Glance) -> str:
    """The name of a message's format; empty if it is none of these, or ONNX.

    Damaged files are recognised by what is left at their beginning.
    """
    fields = _fields(glance.data)
    if not fields:
        return ""
    if glance.data[0] == 0x08:
        return _versioned(fields, glance)
    if glance.data[0] == 0x0A:
        return _nested(fields)
    return ""


def _of(kind: str) -> Callable[[Glance], bool]:
    return lambda glance: _kind(glance) == kind


def _versioned(fields: list[_Field], glance: Glance) -> str:
    """Messages that begin with a version: ONNX, SavedModel, Core ML."""
    if len(fields) < 2 or isinstance(fields[1].value, int):
        return ""
    second, rest = fields[1], {field.number for field in fields[2:]}
    # The producer's name of ONNX is text; a message inside begins with the tag of its field 1.
    if second.number != 2 or bytes(second.inside[:1]) not in (b"", b"\x0a"):
        return ""
    if 7 in rest or (not len(second.inside) and not any(number >= 200 for number in rest)):
        return ""
    if fields[0].value == 1 and (
        _mentions_tensorflow(glance.data) or glance.path.stem == "saved_model"
    ):
        return "SavedModel"
    return "Core ML"


def _mentions_tensorflow(data: memoryview) -> bool:
    beginning = bytes(data[: 1 << 16])
    return any(word in beginning for word in (b"serve", b"train", b"VarHandleOp", b"NoOp"))


def _nested(fields: list[_Field]) -> str:
    """Messages that begin with text or another message in field 1."""
    first = fields[0].inside
    inner = _fields(first)
    numbers = [field.number for field in inner]
    if inner and numbers[:1] == [1]:
        words = [_is_word(field.inside) for field in inner[:2]]
        if numbers[:2] == [1, 2] and all(words):  # a node has a name and an operator
            return "TensorFlow graph"
        if numbers[:2] == [1, 2] and words[0] and bytes(inner[1].inside[:1]) in (b"\x08", b"\x12"):
            return "MindSpore"
        if numbers[:2] == [1, 2] and [f.value for f in inner[:1]] == [0]:
            return "Paddle"
    if not _is_word(first) and len(first):
        return ""
    numbers = [field.number for field in fields[1:]]
    if 100 in numbers:
        return "Caffe"
    second = next((field.inside for field in fields[1:] if field.number == 2), None)
    kinds = {field.number: field.value for field in _fields(second)} if second is not None else {}
    if isinstance(kinds.get(5), int) and 4 in kinds:
        return "Caffe"
    if 4 in kinds and isinstance(kinds[4], memoryview) and _is_word(kinds[4]):
        return "Caffe2"
    return ""


def _is_word(data: memoryview) -> bool:
    return _WORD.fullmatch(bytes(data[:300])) is not None


def _fields(data: memoryview) -> list[_Field]:
    """The first fields, up to damage; the last one may be cut off."""
    found: list[_Field] = []
    position = 0
    while position < len(data) and len(found) < _MAX_FIELDS:
        tag, position = _varint(data, position)
        wire = tag & 7
        if position < 0 or tag >> 3 == 0 or wire in (3, 4, 6, 7):
            break
        if wire == 0:
            value, position = _varint(data, position)
            if position < 0:
                break
            found.append(_Field(tag >> 3, value))
            continue
        length = 8 if wire == 1 else 4
        if wire == 2:
            length, position = _varint(data, position)
            if position < 0:
                break
        found.append(_Field(tag >> 3, data[position : position + length]))
        position += length
    return found


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number and the position after it; -1 for a position if it is damaged."""
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    return 0, -1


MESSAGES: tuple[Foreign, ...] = (
    Foreign("a TensorFlow SavedModel, whose weights lie in its folder variables/", TF_MODEL,
            _of("SavedModel"), suffixes=("pb",)),
    Foreign("a frozen TensorFlow graph", "convert it to ONNX with tf2onnx",
            _of("TensorFlow graph")),
    Foreign("a Core ML model",
            "give the model it was converted from, or convert it to ONNX with onnxmltools",
            _of("Core ML"), suffixes=("mlmodel",)),
    Foreign("a Caffe model",
            "load it with Caffe or OpenCV's dnn module and save the blobs with numpy.savez, or "
            "convert it to ONNX with caffe2onnx", _of("Caffe")),
    Foreign("a Caffe2 network", "convert it to ONNX with caffe2.python.onnx and give that",
            _of("Caffe2")),
    Foreign("a Paddle program without weights", "give the .pdparams file of paddle.save",
            _of("Paddle"), suffixes=("pdmodel",)),
    Foreign("a MindSpore checkpoint",
            "load it with mindspore.load_checkpoint and save the arrays with numpy.savez",
            _of("MindSpore")),
)  # fmt: skip
