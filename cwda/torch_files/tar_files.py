"""Tar archives, and the ones that ``torch.save`` of PyTorch 0.1 wrote.

Members of such a file: ``storages`` (pickled key, place and class before each storage's data),
``tensors`` (pickled keys before sizes and strides) and ``pickle`` (the object itself, in which a
tensor is the text of its key).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

from cwda.containers.mapped import MappedFile
from cwda.containers.pickles import Name, unpickle
from cwda.containers.reader import Reader
from cwda.containers.storages import STORAGES, Leaf, Storage
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.errors import CwdaError, UnreadableError, reason_of
from cwda.torch_files.objects import builders, rebuild_tensor
from cwda.torch_files.tree import walk

__all__ = ["TORCH_TAR"]

_BLOCK = 512
#: Most members that are looked at, and most storages or tensors of a file.
_MAX_MEMBERS, _MAX_COUNT = 10_000, 500_000
_DAMAGED = "the tar archive is damaged ({}); download or copy the file again"


def _begins_member(block: bytes) -> bool:
    """Whether a block is the header of a tar member."""
    return block[257:262] == b"ustar"


def _read_tar(file: MappedFile) -> Content:
    """Read a tar file of PyTorch 0.1.

    Raises
    ------
    UnreadableError
        If the archive holds something else, or is damaged.
    """
    members = _members(file)
    if not {"storages", "tensors", "pickle"} <= set(members):
        inside = printable(", ".join(sorted(members)[:3]))[:80] or "nothing"
        raise UnreadableError(
            f"this is a tar archive (it holds {inside}); unpack it and give the checkpoint inside"
        )
    try:
        return Content("torch tar", _tensors_of(file, members))
    except CwdaError:
        raise
    except (struct.error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UnreadableError(_DAMAGED.format(reason_of(error))) from None


def _members(file: MappedFile) -> dict[str, tuple[int, int]]:
    """Start and length of each plain file, by name."""
    members: dict[str, tuple[int, int]] = {}
    position = 0
    for _ in range(_MAX_MEMBERS):
        header = bytes(file.data[position : position + _BLOCK])
        if not _begins_member(header):
            break
        name = header[:100].partition(b"\0")[0].decode("utf-8", "replace")
        length = _size(header[124:136])
        if header[156:157] in (b"0", b"\0"):
            members[name.removeprefix("./")] = (position + _BLOCK, length)
        position += _BLOCK + -(-length // _BLOCK) * _BLOCK
    return members


def _size(field: bytes) -> int:
    """A number of a header: octal digits, or bytes where the first has its highest bit set."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if not digits or not digits.isdigit() or set(digits) & set(b"89"):
        raise UnreadableError(_DAMAGED.format("the size of a member"))
    return int(digits, 8)


def _tensors_of(file: MappedFile, members: dict[str, tuple[int, int]]) -> list[NamedTensor]:
    start, length = members["storages"]
    objects: dict[int, object] = dict(_storages(_Member(file, start, length)))
    start, length = members["tensors"]
    objects |= _tensors(_Member(file, start, length), objects)
    start, length = members["pickle"]

    def persistent_load(identifier: Any) -> object:
        if isinstance(identifier, tuple):
            return identifier[0]  # a class with its source text, which is left unread
        return objects[int(identifier)]

    stream = io.BytesIO(file.part(start, length)())
    table = builders(length, _nothing_nested)
    return walk(unpickle(stream, table, persistent_load))


def _nothing_nested(_: bytes) -> object:
    raise UnreadableError(_DAMAGED.format("a file inside a file"))


class _Member:
    """A member read from its start: pickles and numbers, one after the other."""

    def __init__(self, file: MappedFile, start: int, length: int) -> None:
        file.part(start, length)
        self._file, self._position, self._end = file, start, start + length
        self._table = builders(length, _nothing_nested)

    def pickled(self) -> Any:
        """The next pickle."""
        self._file.data.seek(self._position)
        value = unpickle(self._file.data, self._table)  # type: ignore[arg-type]
        self._position = self._file.data.tell()
        return value

    def count(self) -> int:
        """The next pickle, a number of things that follow."""
        number = self.pickled()
        if not isinstance(number, int) or not 0 <= number <= _MAX_COUNT:
            raise ValueError("an impossible number of tensors")
        return number

    def part(self, length: int) -> Callable[[], memoryview]:
        """The next bytes."""
        if length < 0 or self._position + length > self._end:
            raise ValueError("a member is cut off")
        part = self._file.part(self._position, length)
        self._position += length
        return part

    def numbers(self, count: int) -> tuple[int, ...]:
        """The next numbers of 8 bytes, little-endian."""
        return struct.unpack(f"<{count}q", self.part(8 * count)())


def _storages(member: _Member) -> dict[int, Storage]:
    """Storages, and views into them, by key."""
    storages: dict[int, Storage] = {}
    for _ in range(member.count()):
        key, _, kind = member.pickled()
        dtype = STORAGES[kind.path.rpartition(".")[2] if isinstance(kind, Name) else ""]
        (numel,) = member.numbers(1)
        storage = Storage(dtype, max(numel, 0))
        storage.fetch = member.part(storage.nbytes)
        storages[int(key)] = storage
    for target, root, offset, numel in member.pickled() or ():
        base = storages[int(root)]
        if min(offset, numel) < 0 or offset + numel > base.numel:
            raise ValueError("a view reaches past its storage")
        start = base.start + offset * (base.dtype.itemsize if base.dtype else 1)
        storages[int(target)] = Storage(base.dtype, numel, base=base.base or base, start=start)
    return storages


def _tensors(member: _Member, storages: dict[int, object]) -> dict[int, Leaf]:
    tensors: dict[int, Leaf] = {}
    for _ in range(member.count()):
        key, storage_key, _ = member.pickled()
        (axes,) = member.numbers(1)
        axes &= 0xFFFFFFFF  # four bytes, and four more that mean nothing
        if axes > 64:
            raise ValueError("a tensor's shape")
        size, stride = member.numbers(axes), member.numbers(axes)
        (offset,) = member.numbers(1)
        tensors[int(key)] = rebuild_tensor(storages[int(storage_key)], offset, size, stride)
    return tensors


TORCH_TAR = Reader(
    name="PyTorch tar",
    library="PyTorch",
    suffixes=("tar",),
    recognises=lambda file: _begins_member(file.head),
    read=_read_tar,
    reads={"PyTorch 0.1": "tar archives of `torch.save`"},
)
