"""Folders of ``torch.distributed.checkpoint``: sharded tensors, put together.

The file ``.metadata`` is a pickle of plain records: for each tensor its size and the offsets and
sizes of its chunks, and for each chunk the bytes of a shard that hold it as a file of
``torch.save``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from cwda.containers.mapped import MappedFile, map_file
from cwda.containers.pickles import Key, Name, Record
from cwda.containers.storages import DTYPES, Leaf, Opaque
from cwda.containers.tensors import Content, NameBudget, NamedTensor, printable
from cwda.errors import CwdaError, SourceError, UnreadableError, reason_of

__all__ = ["METADATA", "assemble", "is_distributed"]

#: The file that describes a folder's shards.
METADATA = ".metadata"
_DAMAGED = "the metadata are damaged ({}); copy the folder again"

_Sizes = tuple[int, ...]


def is_distributed(value: object) -> bool:
    """Whether an unpickled object describes a sharded checkpoint."""
    return isinstance(value, Record) and value.type.endswith("checkpoint.metadata.Metadata")


def assemble(
    metadata: Record, file: MappedFile, tensor_of_bytes: Callable[[bytes], Leaf]
) -> Content:
    """The tensors that a sharded checkpoint's metadata describe, not yet read.

    Parameters
    ----------
    metadata : Record
        The object of the file ``.metadata``.
    file : MappedFile
        That file, next to which the shards lie.
    tensor_of_bytes : callable
        Reads a file of ``torch.save`` with one tensor.
    """
    try:
        return _content(metadata, _Shards(file.path.parent, tensor_of_bytes))
    except CwdaError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise UnreadableError(_DAMAGED.format(reason_of(error))) from None


def _content(metadata: Record, shards: _Shards) -> Content:
    state: Any = metadata.state
    places = _places(state["storage_data"])
    paths = state.get("planner_data")
    tensors, budget = [], NameBudget()
    for key, described in state["state_dict_metadata"].items():
        if not (isinstance(described, Record) and isinstance(described.state, dict)):
            continue
        if "chunks" not in described.state:
            continue  # an object that is not a tensor
        keys = paths.get(key) if isinstance(paths, dict) else None
        tensor = _tensor(key, described.state, places, shards)
        *container, name = _names(keys if isinstance(keys, tuple) and keys else (key,))
        budget.spend(len(name) + sum(map(len, container)))
        tensors.append(NamedTensor(name, tensor.shape, tensor.dtype, tensor.read,
                                   tuple(container), reason=tensor.reason))  # fmt: skip
    stored = sum(shard.size for shard in shards.files.values())
    return Content("torch distributed", tensors, stored=stored, files=list(shards.paths.values()))


def _names(keys: tuple[Any, ...]) -> list[str]:
    return [printable(key) for key in keys]


@dataclass(frozen=True, slots=True)
class _Place:
    """Bytes of a shard."""

    file: str
    offset: int
    length: int
    plain: bool


def _places(stored: Any) -> dict[tuple[str, _Sizes], _Place]:
    """Where each chunk lies, by the tensor's name and the chunk's offsets."""
    places = {}
    for key, info in stored.items():
        index: Any = key.value if isinstance(key, Key) else key
        name, offset = index.state["fqn"], index.state.get("offset")
        if offset is None:
            continue  # an object that is not a tensor
        state = info.state
        places[name, _sizes(offset)] = _Place(
            state["relative_path"],
            state["offset"],
            state["length"],
            not state.get("transform_descriptors"),
        )
    return places


def _sizes(value: Any) -> _Sizes:
    if not isinstance(value, tuple | list) or len(value) > 64:
        raise ValueError("the sizes of a tensor")
    if not all(type(n) is int and 0 <= n < 2**62 for n in value):
        raise ValueError("the sizes of a tensor")
    return tuple(value)


@dataclass
class _Shards:
    """The files of a folder, each mapped once."""

    folder: Path
    tensor_of_bytes: Callable[[bytes], Leaf]
    files: dict[str, MappedFile] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    def chunk(self, place: _Place) -> Callable[[], Leaf]:
        """What reads a chunk; only inside the folder."""
        relative = PurePosixPath(str(place.file))
        shown, path = printable(str(relative))[:80], self.folder / relative
        if relative.is_absolute() or ".." in relative.parts or "\0" in str(relative):
            raise UnreadableError(f"the metadata point outside their folder ({shown}); refused")
        if place.file not in self.files:
            if not path.is_file():
                raise SourceError(f"the shard {shown} is missing; copy it into the folder")
            self.files[place.file], self.paths[place.file] = map_file(path), path
        part = self.files[place.file].part(place.offset, place.length)
        return lambda: self.tensor_of_bytes(bytes(part()))


@dataclass(frozen=True, eq=False, slots=True)
class _Chunked:
    """A tensor in chunks: the offsets and sizes of each, and what reads it."""

    shape: _Sizes
    dtype: torch.dtype
    chunks: tuple[tuple[_Sizes, _Sizes, Callable[[], Leaf]], ...]
    reason: str = ""

    def read(self) -> Tensor:
        """The values, put together."""
        whole = torch.empty(self.shape, dtype=self.dtype)
        written = torch.zeros(self.shape if len(self.chunks) > 1 else (), dtype=torch.bool)
        for offsets, sizes, load in self.chunks:
            part = load()
            if part.shape != sizes or part.dtype != self.dtype:
                raise UnreadableError(
                    f"a shard holds a tensor of shape {part.shape} where the metadata announce "
                    f"{sizes}; copy the folder again"
                )
            where = tuple(slice(o, o + n) for o, n in zip(offsets, sizes, strict=True))
            if len(self.chunks) > 1:
                if written[where].any():
                    raise UnreadableError("chunks of a tensor overlap; copy the folder again")
                written[where] = True
            whole[where] = part.read()
        return whole


def _tensor(
    key: str, described: dict[Any, Any], places: dict[tuple[str, _Sizes], _Place], shards: _Shards
) -> _Chunked | Opaque:
    shape = _sizes(described["size"])
    properties = described["properties"].state
    named = properties[0] if isinstance(properties, tuple) else properties["dtype"]
    dtype = DTYPES.get(named.path) if isinstance(named, Name) else None
    if dtype is None:
        return Opaque(shape, None, "its type of elements is unknown")
    chunks, covered = [], 0
    for chunk in described["chunks"]:
        offsets, sizes = _sizes(chunk.state["offsets"]), _sizes(chunk.state["sizes"])
        if not _inside(offsets, sizes, shape):
            raise ValueError("a chunk reaches past its tensor")
        place = places.get((key, offsets))
        if place is None or not place.plain:
            return Opaque(shape, dtype, "a chunk of it is stored in an unknown way, or missing")
        load = shards.chunk(place)
        if math.prod(sizes) * dtype.itemsize > place.length:
            raise ValueError("a chunk is larger than its bytes")
        chunks.append((offsets, sizes, load))
        covered += math.prod(sizes)
    if covered != math.prod(shape):
        return Opaque(shape, dtype, "its chunks do not make up the whole")
    return _Chunked(shape, dtype, tuple(chunks))


def _inside(offsets: _Sizes, sizes: _Sizes, shape: _Sizes) -> bool:
    if not len(offsets) == len(sizes) == len(shape):
        return False
    return all(o + n <= whole for o, n, whole in zip(offsets, sizes, shape, strict=True))
