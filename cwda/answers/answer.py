"""`Answer`: what every analysis gives back, rows that are also a table and can be saved."""

from __future__ import annotations

import html
import typing
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from cwda.answers import saving
from cwda.layers import Network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "aside", "column", "columns_of", "rows_field", "spread", "table_of"]

Row = TypeVar("Row")

#: Digits behind the point of the numbers that a summary shows; the tables keep them all.
_DIGITS = 3


def column(meaning: str, **options: Any) -> Any:
    """A field of a row, with what the column means; `docs/tables.md` is made of these.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Size:
    ...     layer: str = column("name of the layer")
    >>> columns_of(Size)
    {'layer': 'name of the layer'}
    """
    return field(metadata={"meaning": meaning}, **options)


def spread(meaning: str, **options: Any) -> Any:
    """A field that is a mapping, whose entries are columns of their own in the table.

    Its meaning says how they are called, such as ``overlap_10``.
    """
    return field(metadata={"meaning": meaning, "spread": True}, **options)


def aside(meaning: str, **options: Any) -> Any:
    """A field of a row that is not a column of its table; it is saved with the others."""
    return field(metadata={"meaning": meaning, "aside": True}, **options)


def rows_field(row: type, meaning: str) -> Any:
    """A field of an answer that holds the rows of a further table."""
    return field(metadata={"meaning": meaning, "row": row})


def columns_of(row: type) -> dict[str, str]:
    """The columns of a type of row, with their meaning."""
    return {each.name: each.metadata.get("meaning", "") for each in _columns(row)}


def _columns(row: type) -> tuple[Field[Any], ...]:
    return tuple(each for each in fields(row) if not each.metadata.get("aside"))


def table_of(rows: tuple[Any, ...], row: type) -> pd.DataFrame:
    """A data frame with one line per row, raw values; without rows it has its columns still.

    A column of ``bool | None`` is of pandas' type "boolean", with NA for None.
    """
    import pandas as pd

    parts = _columns(row)
    names: dict[str, None] = {}
    for part in parts:
        if part.metadata.get("spread"):
            names |= {key: None for each in rows for key in getattr(each, part.name)}
        else:
            names[part.name] = None
    table = pd.DataFrame([_cells(each, parts) for each in rows], columns=list(names))
    hints = typing.get_type_hints(row)
    undecided = [part.name for part in parts if hints[part.name] == bool | None]
    return table.astype(dict.fromkeys(undecided, "boolean"))


def _cells(row: Any, parts: tuple[Field[Any], ...]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for part in parts:
        value = getattr(row, part.name)
        if part.metadata.get("spread"):
            cells |= value
        else:
            cells[part.name] = value
    return cells


@dataclass(frozen=True, eq=False, repr=False)
class Answer(Generic[Row]):
    """Rows of one kind, about one or several networks.

    A subclass is a frozen dataclass (``eq=False, repr=False``) that names its `row`, has a
    `summary` and a `title`, and may have further fields, keyword-only, which are plain values
    or made by `rows_field`.

    Attributes
    ----------
    rows : tuple
        One record per row of the table.
    networks : tuple of Network
        What was analysed.
    level : float
        Confidence level of the intervals; NaN where there are none.
    """

    rows: tuple[Row, ...]
    networks: tuple[Network, ...]
    level: float = field(kw_only=True)

    #: The type of the rows: a dataclass of `column`s.
    row: ClassVar[type]

    #: Columns of the summary that are too wide to be printed.
    unprinted: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse fields, and columns of the rows, that a file could not give back.

        Raises
        ------
        CwdaError
            If there is one.
        """
        super().__init_subclass__(**options)
        if hasattr(cls, "row"):
            saving.require_restorable_fields(cls.row)
        own = vars(cls).get("__annotations__", {})
        for name, annotation in typing.get_type_hints(cls).items():
            if name in own and typing.get_origin(annotation) is not ClassVar:
                saving.require_restorable(cls, name, annotation)

    def summary(self) -> pd.DataFrame:
        """The rows in short."""
        raise NotImplementedError

    def title(self) -> str:
        """What the answer is about, in one line."""
        raise NotImplementedError

    @cached_property
    def table(self) -> pd.DataFrame:
        """Tidy table, one line per row, raw values."""
        return table_of(self.rows, self.row)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        title = self.title().removesuffix(".")
        head = f"{type(self).__name__}: {title}; .table has {len(self)} rows"
        printed = self.summary().drop(columns=[*self.unprinted])
        return f"{head}\n{_shown(printed).to_string(index=False)}"

    def _repr_html_(self) -> str:
        body: str = _shown(self.summary()).to_html(index=False, border=0)
        return f"<p>{html.escape(self.title())}</p>{body}"

    def save(self, path: str | Path) -> None:
        """Write the answer as JSON, with the version of cwda and where the weights came from.

        The weights themselves are not written.

        Raises
        ------
        CwdaError
            If `path` does not end with ``.json`` or cannot be written; the file is then as it was.
        """
        saving.save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An answer that `save` wrote; its networks have the shapes of their weights only.

        Raises
        ------
        CwdaError
            If the file is missing, damaged, or holds an answer of another kind.
        """
        answer: Self = saving.load(cls, path)
        return answer


def _shown(summary: pd.DataFrame) -> pd.DataFrame:
    return summary.round(_DIGITS)
