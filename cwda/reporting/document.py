"""A `Document` becomes the JSON and the pictures that the template reads."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cwda.arguments import require_type
from cwda.choices import Paper
from cwda.formatting import MARKS
from cwda.reporting.blocks import (
    Block,
    Box,
    Cell,
    Equation,
    Heading,
    Items,
    Link,
    Name,
    Note,
    PageBreak,
    Paragraph,
    Picture,
    Run,
    Strong,
    Table,
    Text,
)

if TYPE_CHECKING:
    from cwda.figures.drawing.style import VerdictStyle

__all__ = ["Document", "Fact", "as_printed", "template_inputs", "tones"]

#: Words longer than this, in a cell and in running text, get places where a line may end; in
#: others such a place would only be in the way of those who copy them.
LONGEST_IN_CELL, LONGEST_IN_TEXT = 24, 64

#: A long word is broken where it has this many characters without a separator.
LONGEST_UNBROKEN = 12

#: Width of a character of a table, in points: of names, other cells and heads; of the space between
#: columns; and of the narrower page's line. They are on the wide side.
MONO, SERIF, BOLD, PADDING, LINE = 4.85, 4.1, 4.6, 6.0, 470.0

Fact = tuple[str, Text]


def as_printed(date: datetime.date | str | None) -> str:
    """A date as the first page has it; today if there is none.

    Raises
    ------
    CwdaError
        If it is neither a date nor a text.

    Examples
    --------
    >>> as_printed(datetime.date(2001, 2, 3))
    '2001-02-03'
    """
    if date is None:
        return str(datetime.date.today())
    if isinstance(date, datetime.date):
        return str(date)
    return require_type(date, str, "a date as a text or a datetime.date")


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes
    ----------
    title, subtitle : str
        Of the first page; the title is that of the file's metadata as well.
    facts : sequence of (str, Text)
        Labels and values of what was tested: after the contents, or at the end without them.
    blocks : sequence of Block
        All that follows the contents.
    paper : {"a4", "us-letter"}
        Size of the page.
    date : str
        As printed; empty to leave it out.
    answer : sequence of Block
        What stands on the first page, before the contents; no headings.
    contents : int
        Levels of headings in the table of contents; 0 for none.
    alone : bool
        Whether the answer has its page even if there are no contents, and these have theirs.
    """

    title: str
    subtitle: str
    facts: Sequence[Fact]
    blocks: Sequence[Block]
    paper: Paper = "a4"
    date: str = ""
    answer: Sequence[Block] = ()
    contents: int = 2
    alone: bool = True


def template_inputs(document: Document) -> dict[str, bytes]:
    """The files that the template reads: the document, and its pictures by their names."""
    files: dict[str, bytes] = {}
    content = {
        "title": _printable(document.title),
        "subtitle": _printable(document.subtitle),
        "paper": document.paper,
        "date": document.date,
        "facts": [[label, _runs(value)] for label, value in document.facts],
        "tones": tones(),
        "contents": document.contents,
        "alone": document.alone,
        "answer": [_block(block, files) for block in document.answer],
        "blocks": [_block(block, files) for block in document.blocks],
    }
    return {"document.json": json.dumps(content).encode(), **files}


def tones() -> dict[str, str]:
    """The colour of each verdict's name."""
    return {verdict: style.word for verdict, style in _verdicts().items()}


def _verdicts() -> dict[str, VerdictStyle]:
    from cwda.figures.drawing.style import VERDICTS

    return VERDICTS


def _block(block: Block, files: dict[str, bytes]) -> dict[str, Any]:
    match block:
        case Heading(text, level):
            return {"kind": "heading", "level": level, "text": _runs(text)}
        case Paragraph(text):
            return {"kind": "paragraph", "text": _runs(text)}
        case Note(text):
            return {"kind": "note", "text": _runs(text)}
        case Box(title, paragraphs, tone):
            return {
                "kind": "box",
                "title": f"{MARKS[tone]} {_printable(title)}",
                "paragraphs": [_runs(text) for text in paragraphs],
                "tone": tone,
            }
        case Items(items, title):
            listed = [_runs(item) for item in items]
            return {"kind": "items", "items": listed, "title": _printable(title)}
        case Equation(typst, spoken):
            return {"kind": "equation", "typst": typst, "spoken": _printable(spoken)}
        case Picture(svg, caption, alt, high):
            file = f"picture-{len(files)}.svg"
            files[file] = svg
            return {
                "kind": "picture",
                "file": file,
                "caption": _runs(caption),
                "alt": _printable(alt),
                "high": high,
            }
        case Table(columns, rows, caption):
            return {
                "kind": "table",
                "wide": _is_wide(block),
                "columns": [{"title": column.title, "kind": column.kind} for column in columns],
                "rows": [
                    [_cell(cell, column.kind) for cell, column in zip(row, columns, strict=True)]
                    for row in rows
                ],
                "caption": _runs(caption),
            }
        case PageBreak():
            return {"kind": "pagebreak"}


def _is_wide(table: Table) -> bool:
    """Whether a table fills the lines, so that its names may have to break."""
    width = 0.0
    for place, column in enumerate(table.columns):
        cells = [row[place] for row in table.rows]
        texts = [cell.text if isinstance(cell, Cell) else cell for cell in cells]
        body = max(map(len, texts), default=0) * (MONO if column.kind == "name" else SERIF)
        width += max(body, BOLD * len(column.title)) + PADDING
    return width > LINE


def _cell(cell: str | Cell, kind: str) -> dict[str, str]:
    if isinstance(cell, Cell):
        return {"text": _printable(cell.text), "tone": cell.tone}
    return {
        "text": _breakable(cell, LONGEST_IN_CELL) if kind == "name" else _printable(cell),
        "tone": "",
    }


def _runs(text: Text) -> list[dict[str, str]]:
    return [_run(run) for run in ([text] if isinstance(text, Run) else text)]


def _run(run: Run) -> dict[str, str]:
    match run:
        case str():
            return {"kind": "words", "text": _printable(run)}
        case Name(text):
            return {"kind": "name", "text": _breakable(text, LONGEST_IN_TEXT)}
        case Strong(text):
            return {"kind": "strong", "text": _printable(text)}
        case Link(text, url):
            return {"kind": "link", "text": _printable(text), "url": url}


def _breakable(name: str, longest: int) -> str:
    """A name whose words beyond `longest` have places where a line may end."""
    words = _printable(name).split(" ")
    return " ".join(word if len(word) <= longest else _broken(word) for word in words)


def _broken(word: str) -> str:
    """Places to break after a separator, or within a long part."""
    out, since = [], 0
    for char in word:
        out.append(char)
        since += 1
        if char in "._/:-" or since >= LONGEST_UNBROKEN:
            out.append("\u200b")
            since = 0
    return "".join(out).removesuffix("\u200b")


def _printable(text: str) -> str:
    """Text in glyphs of the last font that the template falls back on.

    Typst carries the font itself, matplotlib the same as a file that can be asked.
    """
    from cwda.figures.drawing.text import printable

    return printable(text, "DejaVu Sans Mono")
