"""Recognise a file by its content, never by its name, and hand it to its reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from cwda.errors import UnreadableError
from cwda.extract import numpy_files
from cwda.extract.archives import Archive
from cwda.extract.mapped import MappedFile, map_file
from cwda.extract.numpy_files import read_npy, read_npz
from cwda.extract.onnx_files import read_onnx
from cwda.extract.safetensors_files import looks_like_safetensors, read_safetensors
from cwda.extract.tensors import Content, printable
from cwda.extract.torch_files import read_legacy, read_zip

__all__ = ["read_file"]

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

#: Beginnings of files that are no checkpoints: what they are, and what to do.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights; run `git lfs pull`"),
    (b"\x89PNG", "a PNG image; give a file with trained weights"),
    (b"\xff\xd8\xff", "a JPEG image; give a file with trained weights"),
    (b"GIF8", "a GIF image; give a file with trained weights"),
    (b"%PDF", "a PDF document; give a file with trained weights"),
    (b"\x1f\x8b", "gzip-compressed; unpack it and give the file inside"),
    (b"BZh", "bzip2-compressed; unpack it and give the file inside"),
    (b"\xfd7zXZ", "xz-compressed; unpack it and give the file inside"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and give the file inside"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed; unpack it and give the file inside"),
    (b"GGUF", "a GGUF file, which this program does not read; give the original weights"),
)
_SUPPORTED = "give a file of PyTorch, safetensors, ONNX, Keras or numpy"


def read_file(path: Path) -> Content:
    """All tensors of a file, not yet read.

    Raises
    ------
    UnreadableError
        If the file is of another kind or damaged; the message does not name the file.
    """
    file = map_file(path)
    content = _read(path, file)
    return content if content.stored else replace(content, stored=file.size)


def _read(path: Path, file: MappedFile) -> Content:
    head = bytes(file.data[:512])
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _read_archive(file)
    if head.startswith(numpy_files.MAGIC):
        return read_npy(file)
    if head.startswith(HDF5_MAGIC):
        from cwda.extract.keras_files import read_hdf5

        return read_hdf5(path)
    if looks_like_safetensors(head):
        return read_safetensors(file)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return read_legacy(file)
    if head[:1] == b"\x08" and len(head) > 4 and 0 < head[1] < 64:
        return read_onnx(file)
    if head[:1] in b"(]}c" and file.data[-1:] == b".":
        return read_legacy(file)
    raise UnreadableError(_describe(head))


def _read_archive(file: MappedFile) -> Content:
    archive = Archive(file.part, cast(BinaryIO, file.data), file.size)
    ends = {name.rpartition("/")[2] for name in archive.names}
    if "data.pkl" in ends:
        return read_zip(archive)
    if "model.weights.h5" in ends:
        from cwda.extract.keras_files import read_keras_archive

        return read_keras_archive(archive)
    if any(name.endswith(".npy") for name in archive.names):
        return read_npz(archive)
    if "model.json" in ends and any("tensors/" in name for name in archive.names):
        raise UnreadableError(
            "this is a TorchScript archive from before PyTorch 1.4; save it again with a later one"
        )
    inside = printable(", ".join(sorted(ends)[:3]))[:80] or "nothing"
    raise UnreadableError(
        f"this is a zip archive without weights (it holds {inside}); "
        "unpack it if a checkpoint is inside"
    )


def _describe(head: bytes) -> str:
    """What a file that is no checkpoint seems to be, and what to do."""
    for magic, meaning in _OTHERS:
        if head.startswith(magic):
            return f"this is {meaning}"
    if head[257:262] == b"ustar":
        return "this is a tar archive; unpack it and give the file inside"
    if head[4:8] == b"TFL3":
        return "this is a TensorFlow Lite file, whose weights are fused; give the original weights"
    beginning = head.lstrip().lower()
    if beginning.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "this is a web page, not the weights; download the file itself"
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
