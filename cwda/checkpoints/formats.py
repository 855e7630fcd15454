"""Recognise a file by its content, never by its name, and hand it to its reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from cwda.checkpoints import numpy_files
from cwda.checkpoints.foreign.archives import describe_archive
from cwda.checkpoints.foreign.files import describe, describe_protobuf
from cwda.checkpoints.numpy_files import read_npy, read_npz
from cwda.checkpoints.safetensors_files import looks_like_safetensors, read_safetensors
from cwda.containers.archives import Archive
from cwda.containers.compressed import compression_of, unpacked
from cwda.containers.mapped import MappedFile, map_file
from cwda.containers.tensors import Content
from cwda.errors import UnreadableError
from cwda.onnx_files.files import read_onnx
from cwda.torch_files.exported_programs import holds_exported_program, read_exported_program
from cwda.torch_files.files import MAGIC, read_legacy, read_zip
from cwda.torch_files.tar_files import looks_like_tar, read_tar
from cwda.torch_files.unzipped import Unzipped, is_unzipped

__all__ = ["read_file"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

#: How a file of torch.save begins in the protocols 0 and 1.
_OLD_PROTOCOL = b"L%dL\n." % MAGIC
_SUPPORTED = "give a file of PyTorch, safetensors, ONNX, Keras or numpy"


def read_file(path: Path) -> Content:
    """All tensors of a file, not yet read.

    Raises
    ------
    UnreadableError
        If the file is of another kind or damaged; the message does not name the file.
    """
    if path.name == "data.pkl" and is_unzipped(path.parent):
        return _read_unzipped(path)
    file = map_file(path)
    content = _read(path, file)
    return content if content.stored else replace(content, stored=file.size)


def _read_unzipped(path: Path) -> Content:
    archive = Unzipped(path.parent)
    others = [archive.paths[name] for name in archive.names if archive.paths[name] != path]
    stored = sum(map(archive.length, archive.names))
    return replace(read_zip(archive), stored=stored, files=others)


def _read(path: Path, file: MappedFile) -> Content:
    head = bytes(file.data[:512])
    if looks_like_safetensors(head):  # first: its header's length may be any magic number
        return read_safetensors(file)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _read_archive(file)
    if head.startswith(numpy_files.MAGIC):
        return read_npy(file)
    if head.startswith(HDF5_MAGIC):
        from cwda.keras_files.files import read_hdf5

        return read_hdf5(path)
    if looks_like_tar(head):
        return read_tar(file)
    if compression := compression_of(head):
        return _read_compressed(file, compression)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return _read_pickle(file)
    if head[:1] == b"\x08" and len(head) > 4 and 0 < head[1] < 64:
        if line := describe_protobuf(memoryview(file.data), path):
            raise UnreadableError(line)
        return read_onnx(file)
    if head.startswith(_OLD_PROTOCOL) or (head[:1] in b"(]}c" and file.data[-1:] == b"."):
        return _read_pickle(file)
    raise UnreadableError(describe(memoryview(file.data), path) or _unknown(head))


def _read_pickle(file: MappedFile) -> Content:
    try:
        return read_legacy(file)
    except UnreadableError:
        if file.data.find(b"joblib.numpy_pickle", 0) >= 0:  # with bare data between its operations
            raise UnreadableError(
                "this is a joblib file; load it with joblib and save the arrays with numpy.savez"
            ) from None
        raise


def _read_compressed(file: MappedFile, compression: str) -> Content:
    inside = unpacked(file)
    head = bytes(inside.data[:512])
    if compression_of(head) or head.startswith((HDF5_MAGIC, b"\x08")):
        raise UnreadableError(
            f"this is {compression}-compressed; unpack it and give the file inside"
        )
    try:
        content = _read(file.path, inside)
    except UnreadableError as error:
        raise UnreadableError(f"inside {compression} data: {error}") from None
    return replace(content, stored=inside.size)


def _read_archive(file: MappedFile) -> Content:
    archive = Archive(file.part, cast(BinaryIO, file.data), file.size)
    ends = {name.rpartition("/")[2] for name in archive.names}
    if archive.begins and "archive/data.pkl" in archive:
        raise UnreadableError(
            "this is one shard of a torch.distributed.checkpoint; give its folder, which holds "
            "the file .metadata"
        )
    if holds_exported_program(archive):
        return read_exported_program(archive)
    if "data.pkl" in ends:
        return read_zip(archive)
    if "model.weights.h5" in ends:
        from cwda.keras_files.files import read_keras_archive

        return read_keras_archive(archive)
    if any(name.endswith(".npy") for name in archive.names):
        return read_npz(archive)
    raise UnreadableError(describe_archive(archive.names))


def _unknown(head: bytes) -> str:
    """What a file that nothing tells apart may be, and what to do."""
    if _is_text(head):
        return f"this is a text file, not a checkpoint; {_SUPPORTED}"
    return f"this is no checkpoint that is known, or its beginning is damaged; {_SUPPORTED}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut at the end
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)
