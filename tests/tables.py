"""The tables of docs/tables.md, made from the rows of the answers.

``python -m tests.tables`` writes them anew: each region between ``<!-- columns of NAME -->`` and
``<!-- end -->`` belongs to one class of answers, one to the conditions; the text around them is
written by hand.
"""

from __future__ import annotations

import importlib
import re
import textwrap
from dataclasses import fields
from pathlib import Path

import cwda
from cwda.answers import Answer, columns_of
from cwda.conditions import BUILT_IN
from cwda.surveys import TABLES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tables.md"
REGION = re.compile(r"(<!-- columns of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SURVEY = re.compile(r"(<!-- tables of a survey -->\n).*?(<!-- end -->)", re.DOTALL)
CLASS = re.compile(r"^class (\w+)\(([^)]*)\):", re.MULTILINE)
CONDITIONS = re.compile(r"(<!-- numbers of each condition -->\n).*?(<!-- end -->)", re.DOTALL)


def answers() -> dict[str, type]:
    """All classes of answers, by room and name; only the modules that define them are imported."""
    sources = sorted(Path(cwda.__path__[0]).rglob("*.py"))
    classes = [
        (source, name, {*re.findall(r"\w+", bases)})
        for source in sources
        for name, bases in CLASS.findall(source.read_text())
    ]
    below = {Answer.__name__}
    while more := {name for _, name, bases in classes if bases & below} - below:
        below |= more
    for source in dict.fromkeys(source for source, name, _ in classes if name in below):
        parts = source.relative_to(Path(cwda.__path__[0]).parent).with_suffix("").parts
        importlib.import_module(".".join(parts))
    return {
        f"cwda.{kind.__module__.split('.')[1]}.{kind.__qualname__}": kind for kind in _below(Answer)
    }


def _below(kind: type) -> list[type]:
    found = [kind for kind in kind.__subclasses__() if kind.__module__.startswith("cwda.")]
    return [*found, *(lower for kind in found for lower in _below(kind))]


def tables(kind: type) -> str:
    """The columns of an answer's table, and of its further tables."""
    parts = [_table(kind.row)]
    for part in fields(kind):
        if "row" in part.metadata:
            meaning = part.metadata["meaning"].rstrip(".")
            title = textwrap.fill(f"`.{part.name}`: {meaning}.", 100)
            parts.append(f"{title}\n\n{_table(part.metadata['row'])}")
    return "\n".join(parts)


def numbers_of_conditions() -> str:
    """What the column `estimate` holds, and the further columns, of each condition."""
    lines = [
        f"| {condition.name} | `{column}` | {_sentence(meaning)} |"
        for condition in BUILT_IN
        for column, meaning in {"estimate": condition.estimate, **condition.details}.items()
    ]
    return "\n".join(["| condition | column | meaning |", "|---|---|---|", *lines, ""])


def tables_of_a_survey() -> str:
    """The columns of all tables of a survey."""
    parts = []
    for table in TABLES.values():
        lines = [f"| `{name}` | {_sentence(meaning)} |" for name, meaning in table.columns.items()]
        title = textwrap.fill(f"`.{table.name}`: one row for {table.about}.", 100)
        parts += [title, "", "| column | meaning |", "|---|---|", *lines, ""]
    return "\n".join(parts)


def _table(row: type) -> str:
    several = {part.name for part in fields(row) if part.metadata.get("spread")}
    lines = [
        f"| `{name}`{' (several)' if name in several else ''} | {_sentence(meaning)} |"
        for name, meaning in columns_of(row).items()
    ]
    return "\n".join(["| column | meaning |", "|---|---|", *lines, ""])


def _sentence(meaning: str) -> str:
    text = meaning.strip().replace("|", "\\|")
    return text[:1].upper() + text[1:] + ("." if text and text[-1] != "." else "")


def written(text: str) -> str:
    """The page with its tables made anew."""
    kinds = answers()
    text = REGION.sub(lambda found: f"{found[1]}\n{tables(kinds[found[2]])}\n{found[3]}", text)
    text = SURVEY.sub(lambda found: f"{found[1]}\n{tables_of_a_survey()}\n{found[2]}", text)
    return CONDITIONS.sub(lambda found: f"{found[1]}\n{numbers_of_conditions()}\n{found[2]}", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
