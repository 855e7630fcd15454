"""A cell of a grid: what is measured once."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

__all__ = ["Cell"]

Record = TypeVar("Record")


class Cell(Generic[Record]):
    """What is measured once: a frozen dataclass of plain values, which are its identity.

    Its `record` is the dataclass of its result. Its `str` is shown while it is being measured.
    """

    record: ClassVar[type]
