"""What the documentation must not forget."""

import importlib
import inspect
import re
from pathlib import Path

import click
import pytest

import cwda
from cwda.cli.main import cwda as group

DOCS = Path(__file__).resolve().parent.parent / "docs"
NOTEBOOKS = DOCS.parent / "notebooks"
ROOMS = {name: room for room, names in cwda._ROOMS.items() for name in names}
REFERENCE = re.findall(r"^::: (cwda\S*)$", (DOCS / "reference" / "python.md").read_text(), re.M)


def defined(thing, name, room):
    """The path by which the reference names it: a module of the same name would be taken for it."""
    return f"{getattr(thing, '__module__', room)}.{name}"


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_every_public_name_is_in_the_reference(name):
    thing = getattr(cwda, name)
    assert defined(thing, name, ROOMS[name]) in REFERENCE
    assert thing.__doc__ or name.isupper(), f"{name} has no docstring"


@pytest.mark.parametrize("name", cwda.figures.__all__)
def test_every_figure_is_in_the_reference_and_shown(name):
    assert defined(getattr(cwda.figures, name), name, "cwda.figures") in REFERENCE
    page = (DOCS / "figures.md").read_text()
    assert f"`{name}(" in page
    assert f"](images/figures/{name}.png)" in page


def returned_classes():
    """Classes of this package that its public functions return."""
    for name in ROOMS:
        thing = getattr(cwda, name)
        if inspect.isfunction(thing):
            module = importlib.import_module(thing.__module__)
            for word in re.findall(r"\w+", str(thing.__annotations__["return"])):
                found = getattr(module, word, None)
                if inspect.isclass(found) and found.__module__.startswith("cwda."):
                    yield f"{found.__module__}.{found.__name__}"


def test_every_class_of_results_is_in_the_reference():
    found = {*returned_classes()}
    assert len(found) > 10
    assert found <= {*REFERENCE}


def test_every_page_is_in_the_menu():
    menu = (DOCS.parent / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    pages += [f"notebooks/{path.stem}.md" for path in NOTEBOOKS.glob("*.ipynb")]
    assert [page for page in pages if f" {page}\n" not in menu] == []


def test_commands_in_the_documents_exist():
    written = {
        verb
        for path in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
        for verb in re.findall(r"^cwda ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert written
    assert written <= {*group.list_commands(click.Context(group))}


def test_the_picture_and_the_list_of_rooms_are_whole():
    package = DOCS.parent / "cwda"
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    picture = (DOCS / "images" / "rooms.svg").read_text()
    text = (DOCS / "architecture.md").read_text()
    assert [room for room in rooms if room not in picture or f"`cwda/{room}/`" not in text] == []
