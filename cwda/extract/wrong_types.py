"""What to say of an object that `load` does not take."""

from __future__ import annotations

import io
from collections.abc import Iterator

from torch import nn

__all__ = ["wrong_type"]


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
