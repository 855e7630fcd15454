"""What a report is made of: blocks of plain data, set in type by one template.

Text is a string or a sequence of runs. A run is a string, `Name` (a layer, file or column,
set in a fixed width), `Strong` or `Link`; none of them is ever read as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from cwda.errors import CwdaError
from cwda.formatting import MARKS

__all__ = [
    "Block",
    "Box",
    "Cell",
    "Column",
    "Equation",
    "Heading",
    "Items",
    "Link",
    "Name",
    "Note",
    "PageBreak",
    "Paragraph",
    "Picture",
    "Strong",
    "Table",
    "Text",
    "names",
]


@dataclass(frozen=True)
class Name:
    """A name as it stands in a file, set in a fixed width."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that matter more."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead to an address."""

    text: str
    url: str


Run = str | Name | Strong | Link
Text = Run | Sequence[Run]


@dataclass(frozen=True)
class Cell:
    """A cell of a table in a colour of its own, that of a verdict.

    Attributes
    ----------
    text : str
        What stands in it.
    tone : str
        The verdict whose colour it has.
    """

    text: str
    tone: str

    @classmethod
    def of_verdict(cls, verdict: str) -> Self:
        """A verdict with its mark."""
        return cls(f"{MARKS[verdict]} {verdict}", verdict)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : str
        Its heading.
    kind : {"name", "text", "number"}
        Names may break anywhere and share the room that is left; numbers stand right.
    """

    title: str
    kind: Literal["name", "text", "number"] = "number"


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 (a chapter) to 3."""

    text: Text
    level: int = 1


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: Text


@dataclass(frozen=True)
class Note:
    """A paragraph set apart: how to read what stands above it."""

    text: Text


@dataclass(frozen=True)
class Box:
    """An answer in a frame, in the colour of a verdict.

    Attributes
    ----------
    title : str
        The answer in a few words.
    paragraphs : sequence of Text
        The same in sentences.
    tone : str
        The verdict whose colour and mark it has.
    """

    title: str
    paragraphs: Sequence[Text]
    tone: str


@dataclass(frozen=True)
class Items:
    """A list, under a title that stays with it."""

    items: Sequence[Text]
    title: str = ""


@dataclass(frozen=True)
class Equation:
    """An equation.

    Attributes
    ----------
    typst : str
        Its source, in the mathematics of Typst; ours or that of a condition, never a network's.
    spoken : str
        The words that a screen reader speaks.
    """

    typst: str
    spoken: str


@dataclass(frozen=True)
class Picture:
    """A figure; with its caption it takes less than half a page, or a page of its own.

    Attributes
    ----------
    svg : bytes
        The picture.
    caption : Text
        What it shows.
    alt : str
        The same for those who cannot see it, and what they would read from it.
    high : bool
        Whether it may take a page of its own; what follows goes on before that.
    """

    svg: bytes
    caption: Text
    alt: str
    high: bool = False


@dataclass(frozen=True)
class Table:
    """A table; one that is longer than half a page may run over pages, with its head repeated."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Cell]]
    caption: Text

    def __post_init__(self) -> None:
        for row in self.rows:
            wrong = next((cell for cell in row if not isinstance(cell, str | Cell)), None)
            if wrong is not None or len(row) != len(self.columns):
                given = f"{len(row)} cells" if wrong is None else f"a {type(wrong).__name__}"
                raise CwdaError(f"a row of a table has one text per column, not {given}")


@dataclass(frozen=True)
class PageBreak:
    """What follows begins a page."""


Block = Heading | Paragraph | Note | Box | Items | Equation | Picture | Table | PageBreak


def names(layers: Sequence[str], most: int = 5) -> list[Run]:
    """Names in a sentence, the first `most` of them, and how many are left out."""
    shown: list[Run] = []
    for i, layer in enumerate(layers[:most]):
        shown += [", " if i else "", Name(layer)]
    if len(layers) > most:
        shown.append(f" and {len(layers) - most} more")
    return [run for run in shown if run != ""]
