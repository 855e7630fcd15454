"""What the documentation must not forget."""

import re
from pathlib import Path

import click
import pytest

import cwda
from cwda.cli.main import cwda as group

DOCS = Path(__file__).resolve().parent.parent / "docs"
ROOMS = {name: room for room, names in cwda._ROOMS.items() for name in names}


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_every_public_name_is_in_the_reference(name):
    reference = (DOCS / "reference" / "python.md").read_text()
    assert f"::: {ROOMS[name]}.{name}\n" in reference
    assert getattr(cwda, name).__doc__ or name.isupper(), f"{name} has no docstring"


@pytest.mark.parametrize("name", cwda.figures.__all__)
def test_every_figure_is_in_the_reference(name):
    assert f"::: cwda.figures.{name}\n" in (DOCS / "reference" / "python.md").read_text()


def test_every_page_is_in_the_menu():
    menu = (DOCS.parent / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert [page for page in pages if f" {page}\n" not in menu] == []


def test_commands_in_the_documents_exist():
    written = {
        verb
        for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
        for verb in re.findall(r"^cwda ([a-z]+)", path.read_text(), re.MULTILINE)
    }
    assert written
    assert written <= {*group.list_commands(click.Context(group))}


def test_the_picture_and_the_list_of_rooms_are_whole():
    package = DOCS.parent / "cwda"
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    picture = (DOCS / "images" / "rooms.svg").read_text()
    text = (DOCS / "architecture.md").read_text()
    assert [room for room in rooms if room not in picture or f"`cwda/{room}/`" not in text] == []
