"""Weights of Keras 3 in several files, which an index ``NAME.weights.json`` names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from cwda.containers.json_text import parse_json
from cwda.containers.mapped import map_file
from cwda.containers.tensors import Content, printable
from cwda.errors import SourceError, UnreadableError
from cwda.keras_files.files import read_parts

__all__ = ["read_keras_shards"]

_MOST_FILES = 1_000


def read_keras_shards(index: Path) -> Content:
    """All tensors of the shards.

    Raises
    ------
    UnreadableError, SourceError
        If the index names no shards, names files elsewhere, or a shard is missing.
    """
    shards = [_shard(index, name) for name in _files(map_file(index).data[:])]
    content = read_parts(shards, index.with_name("config.json"))
    stored = sum(shard.stat().st_size for shard in shards)
    return replace(content, format="sharded", stored=stored, files=shards)


def _files(listing: bytes) -> list[str]:
    """Names of the shards in order; a layer may lie in several."""
    try:
        named: list[Any] = list(parse_json(listing)["weight_map"].values())
    except UnreadableError as error:
        raise UnreadableError(f"the index: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableError(
            "the index lists no shards (no 'weight_map'); download or copy it again"
        ) from None
    lists = (item if isinstance(item, list) else [item] for item in named)
    files = list(dict.fromkeys(str(file) for item in lists for file in item))
    if len(files) > _MOST_FILES:
        raise UnreadableError(f"the index names more than {_MOST_FILES:,} files; refused")
    return files


def _shard(index: Path, name: str) -> Path:
    file, shown = PurePosixPath(name), printable(name)[:80]
    if file.is_absolute() or ".." in file.parts:
        raise UnreadableError(f"the index points outside its folder ({shown}); refused")
    shard = index.parent / file
    if not shard.is_file():
        raise SourceError(f"the shard {shown} is missing; download it into the folder of the index")
    return shard
