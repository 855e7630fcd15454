"""What stands for a network: a name, a path, or what is in memory already."""

from __future__ import annotations

from pathlib import Path

from cwda.loading.in_memory import InMemory

__all__ = ["ModelName", "Source"]


class ModelName(str):
    """The name of a model, also where a file is called so."""

    __slots__ = ()


Source = str | Path | InMemory
