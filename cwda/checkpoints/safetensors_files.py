"""Safetensors files, through the safetensors library: it checks the header and maps the data.

Measured with hostile headers (impossible, negative or overlapping sizes, gaps, 1,000,000 brackets,
lengths beyond the file, broken text): each ends within 10 ms in an error that says what is wrong,
without memory. Only a header of more than a million tensors takes seconds and a gigabyte, so a
longer one than `MAX_HEADER` is refused first.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from cwda.containers.mapped import MappedFile
from cwda.containers.reader import Reader
from cwda.containers.tensors import Content, NameBudget, NamedTensor, printable
from cwda.errors import UnreadableError, reason_of

__all__ = ["SAFETENSORS"]

#: Longest header: a tensor takes about a hundred bytes of it.
MAX_HEADER = 40_000_000
#: Element types by the format's names; those of less than a byte have no shape in torch.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}
_DAMAGED = "the safetensors file is damaged ({}); download or copy the file again"


def _is_safetensors(file: MappedFile) -> bool:
    """Whether a file begins with a header's length and an opening brace."""
    return file.head[8:9] == b"{" and int.from_bytes(file.head[:8], "little") < 2**40


def _read(file: MappedFile) -> Content:
    length = int.from_bytes(file.head[:8], "little")
    if length > MAX_HEADER:
        raise UnreadableError(_DAMAGED.format(f"its header is {length:,} bytes long"))
    if 8 + length > len(file.data):
        raise UnreadableError(
            _DAMAGED.format(
                f"it is cut off after {len(file.data):,} bytes, within its header of {length:,}"
            )
        )
    library = _opened(file)
    convention = _convention(library.metadata())
    budget = NameBudget()
    # The order of the data is the writer's; that of `keys()` is the alphabet's.
    tensors = []
    for key in library.offset_keys():
        budget.spend(len(key))
        tensors.append(_tensor(library, key, convention))
    return Content("safetensors", tensors)


def _opened(file: MappedFile) -> Any:
    """The library's view of a file; one that was compressed is written out and mapped again."""
    if file.on_disk:
        return _open(file.path)
    handle, name = tempfile.mkstemp(suffix=".safetensors")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(file.data)
        return _open(Path(name))
    finally:
        os.unlink(name)  # the mapping keeps the data


def _open(path: Path) -> Any:
    import safetensors

    try:
        return safetensors.safe_open(path, framework="pt")
    except safetensors.SafetensorError as error:
        raise UnreadableError(_DAMAGED.format(_cause(error))) from None


def _cause(error: Exception) -> str:
    cause = reason_of(error, 120).removeprefix("Error while deserializing header: ")
    # The library's words for a file that ends before its data do, or goes on after them.
    if "not fully covered" in cause:
        return "it is cut off, or longer than its header says"
    return cause


def _convention(metadata: dict[str, str] | None) -> str:
    """The library that wrote the file, such as ``flax`` or ``mlx``; empty if it does not say."""
    return printable((metadata or {}).get("format", ""))[:20].lower()


def _tensor(library: Any, key: str, convention: str) -> NamedTensor:
    part = library.get_slice(key)
    shape, stored_as = tuple(part.get_shape()), part.get_dtype()
    dtype = _DTYPES.get(stored_as)

    def read() -> torch.Tensor:
        tensor: torch.Tensor = library.get_tensor(key)
        return tensor.clone()  # in memory of its own: the file may change

    return NamedTensor(
        printable(key),
        shape,
        dtype,
        read,
        reason="" if dtype is not None else f"elements of type {stored_as}",
        convention=convention,
        storage=(id(library), key),
    )


SAFETENSORS = Reader(
    name="safetensors",
    library="safetensors",
    suffixes=("safetensors",),
    recognises=_is_safetensors,
    read=_read,
    reads={"safetensors": "single or in shards; see below"},
)
