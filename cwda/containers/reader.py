"""`Reader`: a file format as one object, which recognises its files and reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cwda.containers.mapped import MappedFile
from cwda.containers.tensors import Content

__all__ = ["Reader", "Sample"]

#: Writes weights (N', N, k, k) by layer name into a folder, and gives the path to load.
Sample = Callable[[Path, Mapping[str, npt.NDArray[Any]]], Path]


@dataclass(frozen=True, eq=False)
class Reader:
    """A file format.

    Attributes
    ----------
    name : str
        As in ``safetensors``.
    library : str
        Whose format it is, in the line about a file that no reader takes.
    suffixes : tuple of str
        Usual endings of its files, without a dot: they tell a path from a name and weights from
        what lies next to them, never the format.
    recognises : callable
        Whether a file is of this format, which its content shows.
    read : callable
        All tensors of a file, not yet read.
    reads : mapping
        What it reads, and what to know about that: the list in ``docs/extraction.md``.
    extra : str
        The extra of this package that it needs; empty if none.
    by_path : bool
        Whether it needs a file on disk, so that one inside compressed data has to be unpacked.
    sample : callable, optional
        Writes a small file; the study of hostile files damages it.
    """

    name: str
    library: str
    suffixes: tuple[str, ...]
    recognises: Callable[[MappedFile], bool]
    read: Callable[[MappedFile], Content]
    reads: Mapping[str, str]
    extra: str = ""
    by_path: bool = False
    sample: Sample | None = None

    def __repr__(self) -> str:
        return f"Reader({self.name!r})"
