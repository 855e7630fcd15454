"""What to say about an object that `load` does not take."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from cwda.containers.tensors import printable
from cwda.errors import SourceError

__all__ = ["require_no_address", "wrong_type"]

#: Also as a path, which has one stroke only; one letter is a drive of Windows.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def require_no_address(source: str | Path) -> None:
    """Refuse the address of a file elsewhere.

    Raises
    ------
    SourceError
        If it begins as an address does and no such file is here.
    """
    text = str(source)
    if not _ADDRESS.match(text) or Path(source).exists():
        return
    scheme, _, rest = text.partition(":")
    shown = printable(f"{scheme}://{rest.lstrip('/')}")
    if scheme.lower() == "file":
        raise SourceError(f"{shown}: an address, not a path; give the path alone")
    raise SourceError(f"{shown}: an address, not a path; download the file first and give its path")


def wrong_type(source: object) -> str:
    """One line: what the object is, and what to give instead."""
    kind = type(source).__name__
    name = getattr(source, "__name__", kind)
    if isinstance(source, type):
        call = f"{name}(...)" if issubclass(source, nn.Module) else "one of its objects"
        return f"{name} is a class, not a network; give load({call})"
    if isinstance(source, io.IOBase):
        return "cannot load an open file; give its path"
    if isinstance(source, bytes | bytearray | memoryview):
        return f"cannot load an object of type {kind}; write it to a file and give the path"
    if isinstance(source, Iterator):
        return (
            f"cannot load an object of type {kind}: it gives tensors without names; give the "
            "module or its state_dict()"
        )
    if isinstance(source, list | tuple | set):
        return (
            f"cannot load an object of type {kind}; give a mapping of names to tensors, or one "
            "network at a time"
        )
    if callable(getattr(source, "module", None)):
        return f"cannot load an object of type {kind}; give its module()"
    if callable(source):
        return f"{name} is a function, not a network; call it and give load({name}(...))"
    return f"cannot load an object of type {kind}; give a name, path, module, state dict or array"
