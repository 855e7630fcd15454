"""Archives of ``torch.export.save`` (``.pt2``): weights by name, and their use in the program.

The layouts are those of `torch.export.pt2_archive` and of its predecessor: raw storages next to
a JSON of names, sizes and strides, or a file of ``torch.save`` inside the archive. The program
is JSON too; it is searched for convolutions and never run.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch

from cwda.containers.archives import Archive, archive_of_bytes
from cwda.containers.json_text import parse_json
from cwda.containers.mapped import MappedFile
from cwda.containers.reader import Reader
from cwda.containers.storages import Leaf, Opaque, Storage, StridedTensor
from cwda.containers.tensors import Content, NameBudget, NamedTensor, printable
from cwda.errors import CwdaError, SourceError, UnreadableError, reason_of
from cwda.torch_files.files import objects_of
from cwda.torch_files.objects import rebuild_tensor
from cwda.torch_files.program_uses import uses_of, with_uses

__all__ = ["EXPORTED_PROGRAM", "program_in_memory"]

_CONFIG = "_weights_config.json", "_constants_config.json"
_STATE = "serialized_state_dict.pt"
_PROGRAM = "serialized_exported_program.json"
_DAMAGED = "the exported program is damaged ({}); download or copy the file again"
#: Element types by their number in the JSON.
_DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    9: torch.complex32,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
    29: torch.float8_e4m3fn,
    30: torch.float8_e5m2,
}


def _holds_program(file: MappedFile) -> bool:
    """Whether a file is an archive with the weights of an exported program."""
    return file.archive is not None and any(map(_is_weights, file.archive.names))


def _is_weights(name: str) -> bool:
    config = name.endswith(_CONFIG[0]) or (name.endswith(".pt") and "data/weights/" in name)
    return config or name.rpartition("/")[2] == _STATE


def _read_program(archive: Archive) -> Content:
    """Read an archive of ``torch.export.save``."""
    programs = [name for name in archive.names if _is_weights(name)]
    tensors: list[NamedTensor] = []
    budget = NameBudget()
    for name in programs:
        model = _model_of(name)
        container = (model,) if len(programs) > 1 else ()
        weights = [tensor for part in _parts(archive, name) for tensor in _weights(archive, part)]
        for tensor in weights:
            budget.spend(len(tensor.name))
        weights = [replace(tensor, container=container) for tensor in weights]
        tensors += with_uses(weights, uses_of(_program(archive, name)))
    return Content("torch.export", tensors)


def program_in_memory(program: torch.export.ExportedProgram) -> Content:
    """Read a program in memory as the archive that it would be saved to.

    Raises
    ------
    SourceError
        If PyTorch cannot save it.
    """
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(program, buffer)
    except Exception as error:
        detail = f"{type(error).__name__}: {reason_of(error)}"
        raise SourceError(
            f"an ExportedProgram that cannot be saved ({detail}); give the module it was made from"
        ) from None
    return _read_program(archive_of_bytes(buffer.getvalue()))


def _model_of(name: str) -> str:
    end = name.rpartition("/")[2]
    return printable(end.removesuffix(".pt").removesuffix(_CONFIG[0]))


def _parts(archive: Archive, name: str) -> list[str]:
    """The entry of a model's weights, and that of its constants if there are some."""
    constants = name.replace("data/weights/", "data/constants/").replace(*_CONFIG)
    constants = constants.replace(_STATE, "serialized_constants.pt")
    return [name] + ([constants] if constants != name and constants in archive else [])


def _weights(archive: Archive, entry: str) -> list[NamedTensor]:
    if entry.endswith(".pt"):
        data = archive.read(entry)
        # A plain dictionary of tensors, whose keys are names with dots.
        return objects_of(data, ()) if data else []
    config = _json(archive, entry)
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict):
        raise UnreadableError(_DAMAGED.format("its list of weights"))
    folder = entry.rpartition("/")[0]
    root = entry.partition("data/")[0]
    big_endian = f"{root}byteorder" in archive and archive.read(f"{root}byteorder") == b"big"
    tensors = []
    for key, meta in entries.items():
        leaf = _leaf(archive, folder, meta, big_endian)
        tensors.append(
            NamedTensor(
                printable(key),
                leaf.shape,
                leaf.dtype,
                leaf.read,
                reason=leaf.reason,
                storage=_place(leaf, entry, meta),
            )
        )
    return tensors


def _place(leaf: Leaf, entry: str, meta: Any) -> Hashable:
    """Where a tensor's elements lie: several names may share one storage."""
    if not isinstance(leaf, StridedTensor):
        return None
    return (entry, str(meta["path_name"]), leaf.offset, leaf.dtype, leaf.shape, leaf.stride)


def _json(archive: Archive, entry: str) -> Any:
    text = archive.read(entry)
    try:
        return parse_json(text)
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(_DAMAGED.format(reason_of(error))) from None


def _leaf(archive: Archive, folder: str, meta: Any, big_endian: bool) -> Leaf:
    """A tensor that the JSON describes, over a storage of its own or of several tensors."""
    try:
        described = meta["tensor_meta"]
        sizes = [size["as_int"] for size in described["sizes"]]
        strides = [stride["as_int"] for stride in described["strides"]]
        offset, path = described["storage_offset"]["as_int"], meta["path_name"]
        code, pickled = described["dtype"], meta.get("use_pickle")
    except (TypeError, LookupError, AttributeError):
        # Sizes that depend on the input, and objects that are not tensors.
        return Opaque((), None, "described in an unknown way")
    entry = f"{folder}/{path}"
    dtype = _DTYPES.get(code) if isinstance(code, int) else None
    if dtype is None or pickled or entry not in archive:
        shape = tuple(n for n in sizes if isinstance(n, int) and 0 <= n < 2**62)
        return Opaque(shape, dtype, "a tensor of a class of its own, or not in the file")
    storage = Storage(dtype, archive.length(entry) // dtype.itemsize, archive.fetch(entry))
    storage.big_endian = big_endian
    try:
        return rebuild_tensor(storage, offset, sizes, strides)
    except CwdaError:
        raise
    except ValueError as error:
        raise UnreadableError(_DAMAGED.format(error)) from None


def _program(archive: Archive, weights: str) -> Any:
    """The program that uses these weights; None without one."""
    root, _, end = weights.rpartition("data/weights/")
    entry = f"{root}models/{_model_of(weights)}.json"
    if end == _STATE or weights.endswith(_STATE):
        entry = weights.replace(_STATE, _PROGRAM)
    return _json(archive, entry) if entry in archive else None


def _read_file(file: MappedFile) -> Content:
    assert file.archive is not None
    return _read_program(file.archive)


EXPORTED_PROGRAM = Reader(
    name="torch.export",
    library="PyTorch",
    suffixes=("pt2",),
    recognises=_holds_program,
    read=_read_file,
    reads={
        "`torch.export`": "`.pt2`, or the `ExportedProgram` in memory; names, groups and "
        "transposition as the program has them",
    },
)
