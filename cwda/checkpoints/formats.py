"""The one list of readers; a file is recognised by asking them, never by its name."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cwda.checkpoints.foreign.archives import ARCHIVES
from cwda.checkpoints.foreign.binary import BY_MAGIC, BY_NAME, BY_SHAPE, MSGPACK
from cwda.checkpoints.foreign.foreign import Glance, first_that_tells
from cwda.checkpoints.foreign.messages import MESSAGES
from cwda.checkpoints.foreign.texts import TEXTS
from cwda.checkpoints.numpy_files import NPY, NPZ
from cwda.checkpoints.safetensors_files import SAFETENSORS
from cwda.containers.compressed import compression_of, unpacked
from cwda.containers.mapped import MappedFile, map_file
from cwda.containers.reader import Reader
from cwda.containers.tensors import Content, printable
from cwda.errors import UnreadableError
from cwda.keras_files.files import HDF5, KERAS_ARCHIVE
from cwda.onnx_files.files import ONNX
from cwda.torch_files.exported_programs import EXPORTED_PROGRAM
from cwda.torch_files.files import PICKLE, TORCH_ZIP, read_zip
from cwda.torch_files.tar_files import TORCH_TAR
from cwda.torch_files.unzipped import Unzipped, is_unzipped

__all__ = [
    "FOREIGN",
    "READERS",
    "holds_no_weights",
    "is_usual_name",
    "list_of_formats",
    "read_file",
    "without_suffix",
]

#: All formats that are read, in the order in which they are asked.
READERS: tuple[Reader, ...] = (
    SAFETENSORS,  # first: its header's length may look like the beginning of any other
    EXPORTED_PROGRAM,  # holds entries of the following ones
    TORCH_ZIP,
    KERAS_ARCHIVE,
    NPZ,
    NPY,
    HDF5,
    TORCH_TAR,
    PICKLE,
    ONNX,
)

#: All formats of files that are recognised but not read, in the order in which they are asked.
FOREIGN = (*BY_MAGIC, *TEXTS, *BY_SHAPE, *MESSAGES, MSGPACK, *BY_NAME)

#: Members of an archive of images, as `cwda.read_images` takes it.
_IMAGES = {"x_train.npy", "x_test.npy"}

#: Endings under which weights of any format are kept, and those of indices.
_UNSPECIFIC = ("checkpoint", "model", "mdl", "dat", "nemo", "json")


def _ending(suffixes: Iterable[str]) -> re.Pattern[str]:
    alternatives = "|".join(sorted(set(suffixes)))
    return re.compile(rf"(\.({alternatives}))+$", re.IGNORECASE)


_OWN = [suffix for reader in READERS for suffix in reader.suffixes]
_OTHERS = [suffix for foreign in (*FOREIGN, *ARCHIVES) for suffix in foreign.suffixes]
_USUAL = _ending(_OWN)
_SUFFIX = _ending((*_OWN, *_OTHERS, *_UNSPECIFIC))


def without_suffix(name: str) -> str:
    """The name of a file without the usual endings of checkpoints, of which it may have several.

    Examples
    --------
    >>> without_suffix("model.pth.tar"), without_suffix("resnet18.a1_in1k")
    ('model', 'resnet18.a1_in1k')
    """
    return _SUFFIX.sub("", name)


def is_usual_name(name: str) -> bool:
    """Whether a file has the ending of a format that is read.

    Examples
    --------
    >>> is_usual_name("model.onnx"), is_usual_name("model.mnn")
    (True, False)
    """
    return _USUAL.search(name) is not None


def holds_no_weights(path: Path) -> bool:
    """Whether a file of a usual name is a text, or an archive of images, as its beginning tells.

    One that only points to a checkpoint, or cannot be read, may stand for weights.
    """
    try:
        file = map_file(path)
    except (OSError, UnreadableError):
        return False
    if any(reader.recognises(file) for reader in READERS):
        return file.archive is not None and not _IMAGES.isdisjoint(file.archive.names)
    return _is_text(file.head) and not first_that_tells(FOREIGN, _glance(file))


def list_of_formats() -> str:
    """What all readers read, in Markdown, as it stands in ``docs/extraction.md``."""
    entries = [
        f"- **{what}**: {notes}{f'; needs `cwda[{reader.extra}]`' if reader.extra else ''}"
        for reader in READERS
        for what, notes in reader.reads.items()
    ]
    wrapped = (textwrap.wrap(entry, 100, subsequent_indent="  ") for entry in entries)
    return "\n".join(line for lines in wrapped for line in lines)


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
    content = _read(file)
    return content if content.stored else replace(content, stored=file.size)


def _read_unzipped(path: Path) -> Content:
    archive = Unzipped(path.parent)
    others = [archive.paths[name] for name in archive.names if archive.paths[name] != path]
    stored = sum(map(archive.length, archive.names))
    return replace(read_zip(archive), stored=stored, files=others)


def _read(file: MappedFile) -> Content:
    reader = next((reader for reader in READERS if reader.recognises(file)), None)
    if reader is None:
        if compression := compression_of(file.head):
            return _read_compressed(file, compression)
        raise UnreadableError(_what_it_is(file))
    if reader is ONNX and (line := first_that_tells(MESSAGES, _glance(file))):
        raise UnreadableError(line)
    if reader.by_path and not file.on_disk:
        raise UnreadableError(f"a file of {reader.name}; unpack it and give the file inside")
    return reader.read(file)


def _read_compressed(file: MappedFile, compression: str) -> Content:
    inside = unpacked(file)
    if compression_of(inside.head):
        raise UnreadableError(
            f"this is {compression}-compressed twice; unpack it and give the file inside"
        )
    try:
        content = _read(inside)
    except UnreadableError as error:
        raise UnreadableError(f"inside {compression} data: {error}") from None
    return replace(content, stored=inside.size)


def _glance(file: MappedFile) -> Glance:
    names = file.archive.names if file.archive is not None else ()
    parts = frozenset(part for name in names for part in name.split("/"))
    return Glance(file.path, memoryview(file.data), parts)


def _what_it_is(file: MappedFile) -> str:
    """What a file that no reader takes may be, and what to do."""
    if file.archive is not None:
        return first_that_tells(ARCHIVES, _glance(file)) or _archive_without_weights(file)
    if line := first_that_tells(FOREIGN, _glance(file)):
        return line
    *others, last = dict.fromkeys(reader.library for reader in READERS)
    supported = f"give a file of {', '.join(others)} or {last}"
    if _is_text(file.head):
        return f"this is a text file, not a checkpoint; {supported}"
    return f"this is not a known checkpoint, or its beginning is damaged; {supported}"


def _archive_without_weights(file: MappedFile) -> str:
    names = file.archive.names if file.archive is not None else ()
    ends = sorted({name.rpartition("/")[2] for name in names})
    inside = printable(", ".join(ends[:3]))[:80] or "nothing"
    return (
        f"this is a zip archive without weights (it holds {inside}); "
        "unpack it if a checkpoint is inside"
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a letter may be cut at the end
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)
