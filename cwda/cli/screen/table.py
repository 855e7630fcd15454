"""Tables that never cut a cell: what does not fit is left out as a whole, and named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.cells import cell_len
from rich.text import Text

from cwda.cli.screen.characters import encodable
from cwda.cli.screen.shorten import shortened

__all__ = ["Cell", "Column", "Printed", "Table"]

#: A text, or a text and its style.
Cell = str | tuple[str, str]

#: Room that names of layers keep while there are columns to spare, and at the very least.
_COMFORTABLE, _NARROWEST = 24, 10

_INDENT = 2


@dataclass(frozen=True)
class Column:
    r"""A column.

    Attributes
    ----------
    head : str
        Its head; breaks at ``\n``.
    right : bool
        Whether cells stand at the right, as numbers do.
    style : str
        Style of all its cells.
    spare : bool
        Left out before the names of layers are shortened much, and before other columns.
    kept : bool
        Left out after all others, as what the headline names.
    meaning : str
        What the numbers are, said below the table where the head alone does not say it.
    """

    head: str
    right: bool = True
    style: str = ""
    spare: bool = False
    kept: bool = False
    meaning: str = ""

    @property
    def name(self) -> str:
        """The head on one line."""
        return self.head.replace("-\n", "-").replace("\n", " ")


@dataclass(frozen=True)
class Printed:
    """A table as it is printed.

    Attributes
    ----------
    lines : tuple of Text
        Its lines.
    left_out : tuple of str
        The columns that had no room.
    meanings : str
        What is said of the other columns.
    """

    lines: tuple[Text, ...]
    left_out: tuple[str, ...]
    meanings: str = ""


@dataclass
class Table:
    """Rows under columns, the first of which names the row.

    Attributes
    ----------
    columns : sequence of Column
        What the columns are.
    gap : int
        Blanks between two columns.
    layers : bool
        Whether rows are layers.
    rows : list
        The cells, row by row.
    shorten : bool
        Whether names of rows may be shortened or stand on lines of their own, as those of layers.
    """

    columns: Sequence[Column]
    gap: int = 1
    layers: bool = False
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    shorten: bool = False

    def __post_init__(self) -> None:
        self.shorten |= self.layers

    def add(self, *cells: Cell) -> None:
        """Append a row."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    def printed(self, width: int | None, encoding: str) -> Printed:
        """The lines of the table, none longer than `width`; of any length without one."""
        printed = _Layout(self, encoding).printed(width)
        shown = [column for column in self.columns if column.name not in printed.left_out]
        meanings = [f"{column.name}: {column.meaning}" for column in shown if column.meaning]
        return replace(printed, meanings="; ".join(meanings))


class _Layout:
    """The cells in the characters of a stream, and what room they take."""

    def __init__(self, table: Table, encoding: str) -> None:
        self.table, self.cut = table, encodable("…", encoding)
        heads = [column.head.split("\n") for column in table.columns]
        self.heads = [[encodable(line, encoding) for line in head] for head in heads]
        self.rows = [[encodable(_text(cell), encoding) for cell in row] for row in table.rows]
        self.widths = [
            max(map(cell_len, (*head, *(row[at] for row in self.rows))))
            for at, head in enumerate(self.heads)
        ]

    def printed(self, width: int | None) -> Printed:
        names = [row[0] for row in self.rows]
        if width is None:
            return self._beside(list(range(1, len(self.widths))), names)
        return next(self._fitting(width, names))

    def _fitting(self, width: int, names: list[str]) -> Iterator[Printed]:
        """Ways to print within the width, the best first."""
        choices = self._choices()
        spared = [kept for kept in choices if self._without_spare(kept)]
        for kept in spared:
            room = width - self._room(kept)
            if room >= min(self.widths[0], _COMFORTABLE) and (short := self._short(names, room)):
                yield self._beside(kept, short)
        full = spared[-1]
        for kept in choices[len(spared) - 1 :]:
            room = width - self._room(kept)
            if room >= _NARROWEST and (short := self._short(names, room)):
                yield self._beside(kept, short)
            if kept is full and self.table.shorten:
                yield from self._below_all(spared, width)
        yield from self._below_all(choices, width)
        yield self._below([], width)

    def _choices(self) -> list[list[int]]:
        """The columns kept, from all to one: spare ones go first, then others from the right."""
        kept = list(range(1, len(self.widths)))
        choices = [kept]
        columns = self.table.columns
        for at in sorted(kept, key=lambda at: (not columns[at].spare, columns[at].kept, -at)):
            kept = [other for other in kept if other != at]
            if kept:
                choices.append(kept)
        return choices

    def _without_spare(self, kept: list[int]) -> bool:
        """Whether only spare columns are missing."""
        needed = {at for at in range(1, len(self.widths)) if not self.table.columns[at].spare}
        return needed <= set(kept)

    def _room(self, kept: Sequence[int]) -> int:
        return sum(self.widths[at] + self.table.gap for at in kept)

    def _short(self, names: list[str], room: int) -> list[str] | None:
        if self.widths[0] <= room:
            return names
        head = max(map(cell_len, self.heads[0]))
        return shortened(names, room, self.cut) if self.table.shorten and head <= room else None

    def _beside(self, kept: list[int], names: list[str]) -> Printed:
        room = max(map(cell_len, (*self.heads[0], *names)), default=0)
        lines = self._head_lines(kept, self.heads[0], room)
        for at, name in enumerate(names):
            lines.append(self._line(at, kept, Text(_padded(name, room, self._right(0)))))
        return Printed(tuple(lines), self._missing(kept))

    def _below_all(self, choices: Sequence[list[int]], width: int) -> Iterator[Printed]:
        for kept in choices:
            if self._room(kept) + _INDENT <= width:
                yield self._below(kept, width)

    def _below(self, kept: list[int], width: int) -> Printed:
        """Names on lines of their own, for those that cannot be shortened and stay distinct."""
        lines = [Text(part) for head in self.heads[0] for part in _folded(head, width)]
        indent = Text(" " * _INDENT)
        lines += self._head_lines(kept, [], _INDENT) if kept else []
        for at, row in enumerate(self.rows):
            lines += [Text(part) for part in _folded(row[0], width)]
            lines += [self._line(at, kept, indent)] if kept else []
        return Printed(tuple(lines), self._missing(kept))

    def _head_lines(self, kept: list[int], own: Sequence[str], room: int) -> list[Text]:
        height = max(len(own), *(len(self.heads[at]) for at in kept), 1)
        lines = []
        for line in range(height):
            text = Text(_padded(_from_below(own, line, height), room, self._right(0)), "bold")
            for at in kept:
                part = _from_below(self.heads[at], line, height)
                text.append(" " * self.table.gap + _padded(part, self.widths[at], self._right(at)))
            text.rstrip()
            lines.append(text)
        return lines

    def _line(self, row: int, kept: list[int], start: Text) -> Text:
        text = start.copy()
        for at in kept:
            cell = self.table.rows[row][at]
            style = cell[1] if isinstance(cell, tuple) else self.table.columns[at].style
            padded = _padded(self.rows[row][at], self.widths[at], self._right(at))
            text.append(" " * self.table.gap).append(padded, style)
        text.rstrip()
        return text

    def _right(self, at: int) -> bool:
        return at > 0 and self.table.columns[at].right

    def _missing(self, kept: list[int]) -> tuple[str, ...]:
        missing = set(range(1, len(self.widths))) - set(kept)
        return tuple(self.table.columns[at].name for at in sorted(missing))


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell[0]


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def _from_below(head: Sequence[str], line: int, height: int) -> str:
    at = line - (height - len(head))
    return head[at] if at >= 0 else ""


def _folded(name: str, width: int) -> list[str]:
    """A name on as many lines as it needs."""
    lines = [""]
    for character in name:
        if cell_len(lines[-1] + character) > width:
            lines.append("")
        lines[-1] += character
    return lines
