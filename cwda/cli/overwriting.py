"""What a verb writes takes the place of a file of that name, but never of what must be kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import click

from cwda.errors import CwdaError

__all__ = [
    "DRAWN",
    "NETWORK",
    "PLAN",
    "REFERENCE",
    "REPLACED",
    "STANDARD_OUTPUT",
    "TABLE",
    "TRAINING",
    "Written",
    "is_training",
    "require_same_kind",
    "require_spared",
    "writes",
]

Kind = Literal["a table", "a plan", "a reference", "a picture", "a network"]

#: What the help says of all files that a verb writes.
REPLACED = (
    "A file that exists is replaced, unless the command reads it, or it holds the record of a "
    "training or another kind of result."
)

STANDARD_OUTPUT = Path("-")

#: How the files of this package begin that no verb writes over, and the one of each kind that may.
_SIGNS: dict[str, tuple[re.Pattern[bytes], Kind | None]] = {
    "a table": (re.compile(rb"\s*\["), "a table"),
    "the plan of a pruning": (re.compile(rb'\s*\{\s*"format": "cwda pruning plan'), "a plan"),
    "effects of other networks, for --reference": (
        re.compile(rb'\s*\{\s*"answer": "Reference"'),
        "a reference",
    ),
    "an answer that .save wrote": (re.compile(rb'\s*\{\s*"answer": "'), None),
}

#: How the table of a training begins, that of a monitor or of `cwda trajectory`.
_TRAINING = re.compile(rb"epoch,level,network,condition,")

#: Endings of networks that `cwda prune` writes.
_NETWORKS = (".safetensors", ".onnx", ".pt2", ".pt")


class Written(click.Path):
    """The type of an option that names a file which the verb writes.

    Parameters
    ----------
    kind : str
        What goes into it.
    training : bool
        Whether the verb looks for itself whether a training may be written over.
    """

    def __init__(self, kind: Kind, *, training: bool = False, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)
        self.kind: Kind = kind
        self.training = training


TABLE = Written("a table", allow_dash=True)
TRAINING = Written("a table", training=True, allow_dash=True)
PLAN, REFERENCE = Written("a plan"), Written("a reference")
DRAWN, NETWORK = Written("a picture"), Written("a network")


def require_spared(context: click.Context) -> None:
    """Refuse to write over what the command reads, and over results of another kind.

    Raises
    ------
    click.UsageError
        If a file that is written is one that is read.
    CwdaError
        If it holds what the option does not write.
    """
    read = [*_read(context)]
    for option, path in _written(context):
        for source in read:
            if _same(path, source):
                raise click.UsageError(
                    f"{option.opts[0]} {path} would replace what the command reads; give another "
                    "name",
                    context,
                )
        assert isinstance(option.type, Written)
        require_same_kind(path, option.type)


def writes(command: click.Command) -> bool:
    """Whether a verb has an option that names a file to write."""
    return any(isinstance(each.type, Written) for each in command.params)


def is_training(path: Path) -> bool:
    """Whether a file holds effects along a training: the record of a monitor, or a table."""
    return path.suffix == ".csv" and bool(_TRAINING.match(_beginning(path)))


def _written(context: click.Context) -> Iterator[tuple[click.Option, Path]]:
    """The files that options name for writing."""
    for option in context.command.params:
        if isinstance(option, click.Option) and isinstance(option.type, Written):
            for path in _paths(context.params.get(option.name or "")):
                if path != STANDARD_OUTPUT:
                    yield option, path


def _read(context: click.Context) -> Iterator[Path]:
    """The files and folders that are arguments, or that other options name."""
    for each in context.command.params:
        is_path = isinstance(each.type, click.Path) and not isinstance(each.type, Written)
        if isinstance(each, click.Argument) or is_path:
            yield from _paths(context.params.get(each.name or ""))


def _paths(value: Any) -> Iterable[Path]:
    """The paths in the value of an option: one, several, or none."""
    several = getattr(value, "paths", value)  # those of `Outputs`
    several = several if isinstance(several, tuple | list) else [several]
    return [Path(each) for each in several if isinstance(each, str | Path) and str(each)]


def _same(path: Path, source: Path) -> bool:
    """Whether writing to a path changes a source that is there."""
    if not (path.exists() and source.exists()):
        return False
    if source.is_dir():  # its network may be in any of the files
        inside = source.resolve() in (path.parent.resolve() / path.name).parents
        return inside and path.suffix in _NETWORKS
    return os.path.samefile(path, source)


def require_same_kind(path: Path, kind: Written) -> None:
    """Refuse to write over the record of a training, or over a result of another kind.

    Raises
    ------
    CwdaError
        If the file holds one.
    """
    if is_training(path) and not kind.training:
        raise CwdaError(
            f"{path}: holds the record of a training, which would be lost; give another name"
        )
    if path.suffix == ".json" and (start := _beginning(path)):
        for what, (sign, own) in _SIGNS.items():
            if sign.match(start):
                if own != kind.kind:
                    raise CwdaError(f"{path}: holds {what}, which would be lost; give another name")
                return


def _beginning(path: Path) -> bytes:
    """The first bytes of a file; none of what cannot be read, or is no file."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(200)
    except OSError:
        pass
    return b""
