"""`NamedTensor` and `Content`: what every reader hands to the selection of layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from cwda.errors import UnreadableError
from cwda.layers import Skipped

__all__ = ["Content", "NameBudget", "NamedTensor", "VectorScale", "printable"]

#: Longest key, and most characters of all names together, which nesting can multiply.
MAX_NAME, MAX_CHARACTERS = 1_000, 100_000_000
#: Most tensors of one source.
MAX_TENSORS = 500_000


@dataclass(frozen=True, eq=False, slots=True)
class VectorScale:
    """Scales in a row, which wait until the order of their weight's axes is known.

    Attributes
    ----------
    count : int
    apply : callable
        Scales a weight along one of its axes.
    how : str
        In words, without the axis.
    """

    count: int
    apply: Callable[[Tensor, int], Tensor]
    how: str


@dataclass(frozen=True, eq=False, slots=True)
class NamedTensor:
    """A tensor of a source that has not been read yet, and what the source says of it.

    Attributes
    ----------
    name : str
        Dotted path inside its state dict, such as ``layer1.0.conv1.weight``.
    shape : tuple of int
        Shape in PyTorch's layout: (N', N / groups, *kernel) for a convolution,
        (N, N' / groups, *kernel) for a transposed one. Where the source does not say which
        axis is which, the stored shape, until `arrange` has decided.
    dtype : torch.dtype or None
        Type of the elements; None where torch has none for them.
    read : callable
        Gives the values, in memory of their own.
    container : tuple of str
        Keys that lead to the state dict inside the source.
    is_conv : bool or None
        Whether it is a convolution's weight; None where the source does not say.
    groups : int or None
    transposed : bool or None
    reason : str
        Why it cannot be a layer; empty if it can.
    assumption : str
        What the reader assumed about it; empty if nothing.
    origin : str
        Class that holds it, such as ``torch.nn.modules.conv.Conv2d``; empty if unknown.
    convention : str
        Library that stored the axes in its order, such as ``mlx``, or ``numpy`` for arrays in
        memory or a pickle; empty if the source does not say.
    stored : NamedTensor or None
        The tensor with its axes as stored, where its reader has turned them.
    storage : hashable
        Where its data lie: the same for two tensors that are one; None where unknown.
    scale : VectorScale or None
        What its values have still to be multiplied with.
    also : tuple of str
        Further paths under which the source has it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None
    read: Callable[[], Tensor]
    container: tuple[str, ...] = ()
    is_conv: bool | None = None
    groups: int | None = None
    transposed: bool | None = None
    reason: str = ""
    assumption: str = ""
    origin: str = ""
    convention: str = ""
    stored: NamedTensor | None = None
    storage: Hashable = None
    scale: VectorScale | None = None
    also: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Name with the keys of its container before it."""
        return ".".join((*self.container, self.name))


@dataclass(frozen=True)
class Content:
    """All tensors of a source.

    Attributes
    ----------
    format : str
        Such as ``torch zip``.
    tensors : list of NamedTensor
        In the order of the source.
    skipped : list of Skipped
        What the reader itself has to leave out.
    assumptions : list of str
        What the reader assumed about the file as a whole.
    stored : int
        Bytes of its files; 0 for a source in memory.
    files : list of Path
        Files next to the one that was named, which hold its data.
    """

    format: str
    tensors: list[NamedTensor]
    skipped: list[Skipped] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    stored: int = 0
    files: list[Path] = field(default_factory=list)


@dataclass(slots=True)
class NameBudget:
    """Counts tensors and the characters of their names, against files that repeat them."""

    tensors: int = 0
    characters: int = 0

    def spend(self, length: int) -> None:
        """Count one more tensor with a path of `length` characters."""
        self.tensors += 1
        self.characters += length
        if self.tensors > MAX_TENSORS or self.characters > MAX_CHARACTERS:
            raise UnreadableError(
                f"more than {MAX_TENSORS:,} tensors or {MAX_CHARACTERS:,} characters in their "
                "names, which no checkpoint needs; save the state dict alone"
            )


def printable(key: object) -> str:
    """A key of a file as text that is safe to show on a terminal.

    Anything but text and small numbers is named by its type: writing out a nested tuple
    that shares its parts can take exponential time. Text is cut at 1,000 characters.
    """
    if isinstance(key, int) and key.bit_length() <= 64:
        return str(key)
    if isinstance(key, bytes):  # a name that Python 2 wrote
        key = key[:MAX_NAME].decode("utf-8", "replace")
    if not isinstance(key, str):
        return f"<{type(key).__name__}>"
    if key.isprintable() and len(key) <= MAX_NAME:
        return key
    return "".join(c if c.isprintable() else "\ufffd" for c in key[:MAX_NAME])
