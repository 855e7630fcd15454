"""`Foreign`: a format that is recognised but not read, what it is and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

__all__ = [
    "ORBAX",
    "ORIGINAL",
    "TFJS",
    "TF_CHECKPOINT",
    "TF_MODEL",
    "Foreign",
    "Glance",
    "begins",
    "first_that_tells",
    "has",
    "has_json",
    "has_text",
]

# What to do where several formats of one program lead to the same.
ORIGINAL = "give the model it was converted from"
TF_MODEL = "load it with TensorFlow and save the model as .keras, or convert it with tf2onnx"
TF_CHECKPOINT = (
    "load it with tf.train.load_checkpoint and save the arrays with numpy.savez, or save the "
    "model as .keras"
)
TFJS = "convert it to Keras with tensorflowjs_converter and give that"
ORBAX = (
    "restore the folder with orbax.checkpoint, flatten it with "
    "flax.traverse_util.flatten_dict(..., sep='.') and save it with safetensors or numpy.savez"
)


@dataclass(frozen=True, eq=False)
class Glance:
    """What can be seen of a file, an archive or a folder without reading it.

    Attributes
    ----------
    path : Path
    data : memoryview
        The bytes of a file; none for a folder.
    names : frozenset of str
        Names of an archive's files and folders, or of a folder's children.
    """

    path: Path
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    names: frozenset[str] = frozenset()

    @cached_property
    def text(self) -> bytes:
        """The beginning of a text in lower case, without byte order mark and blanks."""
        return bytes(self.data[:4096]).lstrip(b"\xef\xbb\xbf \t\r\n").lower()

    def counted(self, pattern: str) -> int:
        """The number of names of a pattern."""
        return sum(re.fullmatch(pattern, name) is not None for name in self.names)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A format that is recognised but not read.

    Attributes
    ----------
    what : str
        What a file of it is, such as ``a PNG image``.
    remedy : str
        What to do instead.
    tells : callable, optional
        Whether a file is of this format; by default its name's ending decides.
    suffixes : tuple of str
        Usual endings of its files, without a dot.
    """

    what: str
    remedy: str
    tells: Callable[[Glance], bool] | None = None
    suffixes: tuple[str, ...] = ()

    def is_told_by(self, glance: Glance) -> bool:
        """Whether a file is of this format."""
        if self.tells is not None:
            return self.tells(glance)
        return glance.path.suffix.lower().removeprefix(".") in self.suffixes

    @property
    def line(self) -> str:
        """What it is and what to do, for an error."""
        return f"this is {self.what}; {self.remedy}"


def first_that_tells(formats: Iterable[Foreign], glance: Glance) -> str:
    """The line of the first format that a file is of; empty if it is of none."""
    return next((foreign.line for foreign in formats if foreign.is_told_by(glance)), "")


def begins(*magics: bytes, at: int = 0) -> Callable[[Glance], bool]:
    """Whether a file has one of these at a place."""
    return lambda glance: any(bytes(glance.data[at : at + len(magic)]) == magic for magic in magics)


def has_text(pattern: bytes) -> Callable[[Glance], bool]:
    """Whether a text begins with a pattern, in lower case."""
    compiled = re.compile(pattern)
    return lambda glance: compiled.match(glance.text) is not None


def has_json(key: bytes) -> Callable[[Glance], bool]:
    """Whether the beginning of a JSON object has a pattern, in lower case."""
    compiled = re.compile(key)
    return lambda glance: glance.text[:1] == b"{" and compiled.search(glance.text) is not None


def has(*names: str) -> Callable[[Glance], bool]:
    """Whether all these are in an archive or folder."""
    return lambda glance: glance.names.issuperset(names)
