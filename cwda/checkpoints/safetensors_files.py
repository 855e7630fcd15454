"""Safetensors files: a JSON header, then the bytes of all tensors.

The format is specified in the safetensors repository; the header is small, so that only
the tensors that are wanted are ever read.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from cwda.containers.json_text import parse_json
from cwda.containers.mapped import MappedFile
from cwda.containers.storages import Opaque, Storage, StridedTensor
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.errors import UnreadableError

__all__ = ["looks_like_safetensors", "read_safetensors"]

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
_DAMAGED = "the safetensors header is damaged ({}); download or copy the file again"


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file begins with a header length and an opening brace."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**40


def read_safetensors(file: MappedFile) -> Content:
    """Read a safetensors file."""
    length = int.from_bytes(file.part(0, 8)(), "little")
    try:
        header = parse_json(file.part(8, length)().tobytes())
    except (ValueError, RecursionError) as error:
        raise UnreadableError(_DAMAGED.format(str(error)[:80])) from None
    if not isinstance(header, dict):
        raise UnreadableError(_DAMAGED.format("it is no JSON object"))
    convention = _convention(header.get("__metadata__"))
    tensors = [
        replace(_tensor(file, 8 + length, key, entry), convention=convention)
        for key, entry in header.items()
        if key != "__metadata__"
    ]
    # The header's order is the writer's; the data's order is by type and name.
    return Content("safetensors", tensors)


def _convention(metadata: Any) -> str:
    """The library that wrote the file, as ``pt``, ``flax`` or ``mlx``; empty if it does not say."""
    stated = metadata.get("format") if isinstance(metadata, dict) else None
    return printable(stated)[:20].lower() if isinstance(stated, str) else ""


def _tensor(file: MappedFile, start: int, key: str, entry: Any) -> NamedTensor:
    name = printable(key)
    shape, (begin, end) = _entry_numbers(entry, name)
    dtype = _DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        leaf = Opaque(shape, None, f"elements of type {str(entry.get('dtype'))[:20]}")
        return NamedTensor(name, shape, None, leaf.read, reason=leaf.reason)
    numel = math.prod(shape)
    if end - begin != numel * dtype.itemsize:
        raise UnreadableError(_DAMAGED.format(f"the size of {name[:80]} does not fit its shape"))
    storage = Storage(dtype, numel, file.part(start + begin, end - begin))
    stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    tensor = StridedTensor(storage, dtype, 0, shape, tuple(stride))
    place = (id(file), begin, dtype, shape) if numel else None
    return NamedTensor(name, shape, dtype, tensor.read, storage=place)


def _entry_numbers(entry: Any, name: str) -> tuple[tuple[int, ...], tuple[int, int]]:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2):
        raise UnreadableError(_DAMAGED.format(f"at {name[:80]}"))
    if not all(type(n) is int and 0 <= n < 2**62 for n in (*shape, *offsets)):
        raise UnreadableError(_DAMAGED.format(f"at {name[:80]}"))
    return tuple(shape), (offsets[0], offsets[1])
