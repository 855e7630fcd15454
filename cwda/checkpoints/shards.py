"""A checkpoint at a path: one file, or several that an index or their names put together."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from cwda.checkpoints.foreign.foreign import TF_CHECKPOINT
from cwda.checkpoints.formats import read_file
from cwda.containers.json_text import parse_json
from cwda.containers.mapped import map_file
from cwda.containers.tensors import Content, printable
from cwda.errors import SourceError, UnreadableError
from cwda.keras_files.shards import read_keras_shards

__all__ = ["read_checkpoint", "set_of", "without_number"]

#: ``model-00001-of-00002.safetensors``; TensorFlow's ``.data-00000-of-00001`` ends with the number.
_NUMBERED = re.compile(
    r"(?P<before>.+)[-_.](?P<number>\d{5})(?P<of>[-_]of[-_])(?P<total>\d{5})(?P<after>(\.\w+)+)"
)
_INDICES = (".index.json", ".weights.json")
#: Indices next to a file that are looked at, and most bytes of one.
_MOST_INDICES, _MOST_BYTES = 16, 20_000_000


def read_checkpoint(path: Path) -> tuple[Path, Content]:
    """All tensors of a file, or of the shards that it lists or belongs to, not yet read.

    The path is that of the file, of the index, or of the first shard.

    Raises
    ------
    SourceError, UnreadableError
        If a shard is missing, a file is damaged or of another kind.
    """
    if not path.exists() and path.with_name(f"{path.name}.index").is_file():
        raise UnreadableError(f"this is a TensorFlow checkpoint; {TF_CHECKPOINT}")
    index = _index_of(path)
    if index is not None:
        content = (
            _indexed(index) if index.name.endswith(".index.json") else read_keras_shards(index)
        )
        return index, content if index == path else _noted(content)
    shards = _shards_of(path)
    if len(shards) < 2:
        return path, read_file(path)
    content = _together(shards)
    _require_once(content)
    return shards[0], _noted(replace(content, files=shards[1:]))


def _noted(content: Content) -> Content:
    note = "put together from all shards that belong to the one that was given"
    return replace(content, assumptions=[note, *content.assumptions])


def _index_of(path: Path) -> Path | None:
    """The index that a path is, or the one next to it that lists it as one of several shards."""
    if path.name.endswith(_INDICES):
        return path
    indices = (other for ending in _INDICES for other in path.parent.glob(f"*{ending}"))
    return next(
        (other for other in islice(indices, _MOST_INDICES) if _lists(other, path.name)), None
    )


def _lists(index: Path, name: str) -> bool:
    if not index.is_file() or not 0 < index.stat().st_size <= _MOST_BYTES:
        return False
    try:
        listed = list(parse_json(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
        return False  # its own reader says what is wrong with it
    lists = (item if isinstance(item, list) else [item] for item in listed)
    files = {str(file) for files_of_layer in lists for file in files_of_layer}
    return name in files and len(files) > 1


def _shards_of(path: Path) -> list[Path]:
    """The files whose names make one checkpoint with that of `path`, in order."""
    match = _NUMBERED.fullmatch(path.name)
    total = int(match["total"]) if match is not None else 1
    if match is None or total < 2 or not path.is_file():
        return [path]
    start, end = match.start("number"), match.end("number")

    def shard(number: int) -> Path:
        return path.with_name(f"{path.name[:start]}{number:05}{path.name[end:]}")

    first = 0 if int(match["number"]) == 0 or shard(0).is_file() else 1
    shards = []
    for number in range(first, first + total):
        shards.append(shard(number))
        if not shards[-1].is_file():
            raise SourceError(
                f"one of {total} shards, and {printable(shards[-1].name)[:80]} is missing next to "
                "it; put all of them into one folder and give that"
            )
    return shards


def without_number(name: str) -> str:
    """The name of a shard without its number.

    Examples
    --------
    >>> without_number("model-00001-of-00002.safetensors"), without_number("model.pth")
    ('model.safetensors', 'model.pth')
    """
    match = _NUMBERED.fullmatch(name)
    return name if match is None else match["before"] + match["after"]


def set_of(name: str) -> str:
    """A name that all shards of one set have in common; that of any other file is its own."""
    match = _NUMBERED.fullmatch(name)
    return (
        name if match is None else f"{name[: match.start('number')]}*{name[match.end('number') :]}"
    )


def _indexed(index: Path) -> Content:
    """All tensors of a sharded checkpoint."""
    text = map_file(index).data[:]
    try:
        shards = parse_json(text)["weight_map"]
        files = list(dict.fromkeys(PurePosixPath(str(shard)) for shard in shards.values()))
    except UnreadableError as error:
        raise UnreadableError(f"the index: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError(
            "the index lists no shards (no 'weight_map'); download or copy it again"
        ) from None
    for file in files:
        shown = printable(str(file))[:80]
        if file.is_absolute() or ".." in file.parts:
            raise UnreadableError(f"the index points outside its folder ({shown}); refused")
        if not (index.parent / file).is_file():
            raise SourceError(
                f"the shard {shown} is missing; download it into the folder of the index"
            )
    content = _together([index.parent / file for file in files])
    missing = {printable(name) for name in shards} - {tensor.path for tensor in content.tensors}
    if missing:
        raise UnreadableError(
            f"the shards lack {len(missing)} tensors, such as {min(missing)[:80]}; "
            "download or copy them again"
        )
    return content


def _together(shards: list[Path]) -> Content:
    whole = Content("sharded", [], files=shards)
    stored = 0
    for shard in shards:
        content = read_file(shard)
        whole.tensors.extend(content.tensors)
        whole.skipped.extend(content.skipped)
        whole.assumptions.extend(content.assumptions)
        stored += content.stored
    return replace(whole, stored=stored)


def _require_once(content: Content) -> None:
    """Refuse shards by processor, each of which has a part of every tensor."""
    seen: set[str] = set()
    for tensor in content.tensors:
        if tensor.path in seen:
            raise UnreadableError(
                f"several shards hold {tensor.path[:80]}: merge them with the program that wrote "
                "them, and give the result"
            )
        seen.add(tensor.path)
