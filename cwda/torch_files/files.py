"""Files that ``torch.save`` or ``torch.jit.save`` wrote, zip or legacy, and plain pickles.

The formats are those of `torch.serialization`; this reader shares no code with it and
never calls ``torch.load``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import IO, Any

from cwda.containers.archives import Archive, archive_of_bytes
from cwda.containers.mapped import MappedFile
from cwda.containers.pickles import Name, unpickle
from cwda.containers.reader import Reader
from cwda.containers.storages import Leaf, Opaque, Storage, StridedTensor
from cwda.containers.tensors import Content, NamedTensor
from cwda.errors import UnreadableError
from cwda.torch_files.distributed import assemble, is_distributed
from cwda.torch_files.objects import builders, storage_from_id
from cwda.torch_files.script import of_constants, packed, require_readable, with_groups
from cwda.torch_files.tree import walk

__all__ = ["PICKLE", "TORCH_ZIP", "objects_of", "read_legacy", "read_zip", "tensor_of_bytes"]

#: First object of a legacy file, and how that begins in the protocols 0 and 1.
MAGIC = 0x1950A86A20F9469CFC6C
_OLD_PROTOCOL = b"L%dL\n." % MAGIC
_MAX_DEPTH = 4

_Part = Callable[[int, int], Callable[[], memoryview]]


def read_zip(archive: Archive) -> Content:
    """Read a zip file of ``torch.save`` or a TorchScript archive."""
    pickled = next(name for name in archive.names if name.split("/")[-1] == "data.pkl")
    root = pickled[: -len("data.pkl")]
    script = f"{root}constants.pkl" in archive or any(
        name.startswith(f"{root}code/") for name in archive.names
    )
    if not script:
        return Content("torch zip", walk(_unpickle_entry(archive, root, "data", 0)))
    require_readable(archive, root)
    tensors = walk(_unpickle_entry(archive, root, "data", 0))
    texts: dict[str, dict[str, int]] = {}
    tensors = [with_groups(tensor, archive, root, texts) for tensor in tensors]
    if f"{root}constants.pkl" in archive:
        constants = _constants(_unpickle_entry(archive, root, "constants", 0))
        tensors += of_constants(constants, archive, root)
    return Content("TorchScript", tensors, packed(archive, root))


def _constants(value: object) -> list[NamedTensor]:
    """Constants of TorchScript, each named by its number; objects give several."""
    return [
        replace(tensor, name=str(number), container=("constants",))
        for number, constant in enumerate(value if isinstance(value, tuple | list) else ())
        for tensor in walk(constant)
    ]


def read_legacy(file: MappedFile) -> Content:
    """Read a legacy file of ``torch.save`` or a plain pickle."""
    file.data.seek(0)
    # A memory map gives what pickletools needs of a file: read, readline and tell.
    value, format_name = _load_stream(file.data, file.part, file.size, 0)  # type: ignore[arg-type]
    if is_distributed(value):
        return assemble(value, file, tensor_of_bytes)
    return Content(format_name, walk(value))


def objects_of(data: bytes, container: tuple[str, ...]) -> list[NamedTensor]:
    """All tensors inside a pickle, under the keys of `container`."""
    value: object = _load_bytes(data, 0)
    for key in reversed(container):
        value = {key: value}
    return walk(value)


def tensor_of_bytes(data: bytes) -> Leaf:
    """The one tensor of a file of ``torch.save``."""
    value = _load_bytes(data, 0)
    if not isinstance(value, StridedTensor | Opaque):
        raise UnreadableError("a shard holds no tensor where one was announced; copy it again")
    return value


def _unpickle_entry(archive: Archive, root: str, folder: str, depth: int) -> Any:
    data = archive.read(f"{root}{folder}.pkl")
    big_endian = f"{root}byteorder" in archive and archive.read(f"{root}byteorder") == b"big"
    storages: dict[str, Storage] = {}

    def persistent_load(identifier: object) -> Storage:
        storage, key, _ = storage_from_id(_plain_kind(identifier))
        earlier = storages.get(key)
        if earlier is not None and (earlier.dtype, earlier.numel) == (storage.dtype, storage.numel):
            return earlier
        entry = f"{root}{folder}/{key}"
        if archive.length(entry) < storage.nbytes:
            raise UnreadableError(
                f"a tensor announces {storage.nbytes:,} bytes but the archive holds "
                f"{archive.length(entry):,}; download or copy the file again"
            )
        storage.fetch, storage.big_endian = archive.fetch(entry), big_endian
        storages[key] = storage
        return storage

    table = builders(len(data), lambda nested: _load_bytes(nested, depth + 1))
    return unpickle(io.BytesIO(data), table, persistent_load)


def _plain_kind(identifier: object) -> object:
    # TorchScript names the class without a module in some versions.
    if isinstance(identifier, tuple) and len(identifier) > 1 and isinstance(identifier[1], str):
        return (identifier[0], Name(identifier[1]), *identifier[2:])
    return identifier


def _load_stream(file: IO[bytes], part: _Part, size: int, depth: int) -> tuple[Any, str]:
    """The object of a legacy file, or of a plain pickle, and the format's name."""
    storages: dict[str, Storage] = {}
    views: dict[str, Storage] = {}

    def persistent_load(identifier: object) -> object:
        if isinstance(identifier, tuple) and len(identifier) > 1 and identifier[0] == "module":
            return identifier[1]  # a class with its source text, which is left unread
        storage, key, view = storage_from_id(identifier)
        base = storages.setdefault(key, storage)
        if view is None:
            return base if base.dtype == storage.dtype else replace(storage, base=base)
        view_key, offset, length = view
        if not (isinstance(offset, int) and isinstance(length, int) and min(offset, length) >= 0):
            raise ValueError("a view into a storage")
        width = storage.dtype.itemsize if storage.dtype else 1
        if offset + length > base.numel:
            raise ValueError("a view reaches past its storage")
        return views.setdefault(
            str(view_key), replace(storage, numel=length, base=base, start=offset * width)
        )

    table = builders(size, lambda nested: _load_bytes(nested, depth + 1))
    value = unpickle(file, table, persistent_load)
    if value != MAGIC or not isinstance(value, int):
        return value, "pickle"
    unpickle(file, table)
    unpickle(file, table)
    value = unpickle(file, table, persistent_load)
    keys = unpickle(file, table)
    _locate(storages, keys, part, file.tell())
    return value, "torch legacy"


def _locate(storages: dict[str, Storage], keys: Any, part: _Part, position: int) -> None:
    """Tell each storage where its bytes lie: a count of 8 bytes, then the elements.

    PyTorch writes both little-endian on every machine.
    """
    if not isinstance(keys, list):
        raise UnreadableError("the list of storages is damaged; download or copy the file again")
    for key in keys:
        storage = storages.get(str(key))
        if storage is None:
            raise UnreadableError("a storage belongs to no tensor; download or copy the file again")
        count = int.from_bytes(part(position, 8)(), "little", signed=True)
        if count != storage.numel:
            raise UnreadableError(
                f"a storage of {storage.numel:,} elements is announced but {count:,} are stored; "
                "download or copy the file again"
            )
        storage.fetch = part(position + 8, storage.nbytes)
        position += 8 + storage.nbytes


def _load_bytes(data: bytes, depth: int) -> Any:
    """The object of a torch file inside a pickle."""
    if depth > _MAX_DEPTH:
        raise UnreadableError(f"torch files are nested more than {_MAX_DEPTH} deep; refused")
    if data[:4] == b"PK\x03\x04":
        archive = archive_of_bytes(data)
        names = [name for name in archive.names if name.split("/")[-1] == "data.pkl"]
        if not names:
            raise UnreadableError(
                "an archive inside the pickle holds no tensors; save the state dict alone"
            )
        return _unpickle_entry(archive, names[0][: -len("data.pkl")], "data", depth)
    view = memoryview(data)

    def part(start: int, length: int) -> Callable[[], memoryview]:
        if start < 0 or length < 0 or start + length > len(view):
            raise UnreadableError(
                f"a tensor announces data up to byte {start + length:,} of {len(view):,}; "
                "download or copy the file again"
            )
        return lambda: view[start : start + length]

    return _load_stream(io.BytesIO(data), part, len(data), depth)[0]


def _is_torch_zip(file: MappedFile) -> bool:
    return file.holds("data.pkl")


def _read_torch_zip(file: MappedFile) -> Content:
    assert file.archive is not None
    if file.archive.begins and "archive/data.pkl" in file.archive:
        raise UnreadableError(
            "this is one shard of a torch.distributed.checkpoint; give its folder, which holds "
            "the file .metadata"
        )
    return read_zip(file.archive)


def _is_pickle(file: MappedFile) -> bool:
    head = file.head
    numbered = head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"
    old = head[:1] in b"(]}c" and file.data[-1:] == b"."
    return numbered or old or head.startswith(_OLD_PROTOCOL)


def _read_pickle(file: MappedFile) -> Content:
    try:
        return read_legacy(file)
    except UnreadableError:
        if file.data.find(b"joblib.numpy_pickle", 0) >= 0:  # with bare data between its operations
            raise UnreadableError(
                "this is a joblib file; load it with joblib and save the arrays with numpy.savez"
            ) from None
        raise


TORCH_ZIP = Reader(
    name="PyTorch archive",
    library="PyTorch",
    suffixes=("pt", "pth", "pyth", "th", "bin", "ckpt", "chkpt", "torch", "jit", "ptl"),
    recognises=_is_torch_zip,
    read=_read_torch_zip,
    reads={
        "PyTorch zip": "`.pt .pth .th .bin .ckpt`; state dicts, nested containers, pickled "
        "modules; also unpacked to a folder",
        "TorchScript, PyTorch Mobile": "weights and class texts are read as data; frozen ones "
        "too, whose layers are `c0`, `c1`, ...",
    },
)

PICKLE = Reader(
    name="pickle",
    library="PyTorch",
    suffixes=("p", "pkl", "pickle", "pdparams"),
    recognises=_is_pickle,
    read=_read_pickle,
    reads={
        "PyTorch legacy, plain pickle": "before PyTorch 1.6, without a rebuild function of "
        "tensors before 0.4, strings of Python 2",
        "`torch.distributed.checkpoint`": "the folder, or its file `.metadata`; shards are put "
        "together",
        "Paddle": "`.pdparams` of dynamic and static programs, nested dictionaries",
        "lists of arrays": "pickles of Theano, Lasagne, CuPy, JAX and numpy; see below",
    },
)
