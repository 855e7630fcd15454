"""What the documentation must not forget."""

import ast
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import click
import pytest

import cwda
from cwda.cli.main import cwda as group
from cwda.cli.verbs import VERBS
from cwda.conditions import BUILT_IN
from cwda.theory import LADDER
from tests import tables
from tests.figures.gallery import FIGURES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted((ROOT / "reports").rglob("*.md"))]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def hook(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = (DOCS / "reference" / "python.md").read_text()
PUBLIC = hook("reference").public_names()


def test_every_public_room_is_in_the_reference():
    assert set(PUBLIC) == set(re.findall(r"^::: names of (\S+)$", REFERENCE, re.MULTILINE))


def test_every_public_name_is_described_in_the_reference():
    filled = hook("reference").on_page_markdown(REFERENCE)
    paths = re.findall(r"^::: (\S+)$", filled, re.MULTILINE)
    assert len(paths) == len({*paths}) > 50
    for room, names in PUBLIC.items():
        for name in names:
            thing = getattr(importlib.import_module(room), name)
            assert any(path.endswith(f".{name}") for path in paths), f"{room}.{name}"
            assert inspect.getdoc(thing) or name.isupper(), f"{room}.{name} has no docstring"


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_shown(name):
    page = hook("listed").on_page_markdown((DOCS / "figures.md").read_text())
    assert f"`{name}(" in page
    assert f"](images/figures/{name}.png)" in page


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_a_page_that_speaks_of_a_figure_has_a_picture(page):
    text = _text(page)
    assert not re.search(r"\bfigures\.[a-z_]+", text) or re.search(r"^ *!\[", text, re.MULTILINE)


def test_a_figure_that_no_page_describes_is_described_by_its_docstring():
    described = hook("listed").figures("`overview(check_result)`")
    assert "`overview(" not in described
    for name in set(FIGURES) - {"overview"}:
        assert f"**`{name}(" in described
        assert f"](images/figures/{name}.png)" in described
    assert "device" not in described


def test_the_chapters_are_listed():
    page = hook("listed").on_page_markdown((DOCS / "report.md").read_text())
    for chapter in cwda.reporting.CHAPTERS:
        assert f"- **{chapter.title}**: {chapter.about}\n" in page
        assert len(chapter.about) > 20


def test_every_condition_and_every_rung_has_a_row():
    conditions, theory = ((DOCS / f"{page}.md").read_text() for page in ("conditions", "theory"))
    for condition in BUILT_IN:
        row = rf"^\| {condition.name} \|.*\| {condition.margin:g} \|$"
        assert re.search(row, conditions, re.MULTILINE), condition.name
    for rung in LADDER:
        assert f"\n| {rung.name} | " in theory


def test_every_condition_and_verb_has_a_test_that_names_it():
    def words(folder):
        files = (ROOT / "tests" / folder).rglob("*.py")
        return set(re.findall(r"[\w-]+", "\n".join(path.read_text() for path in files)))

    for folder, names in {
        "conditions": [condition.name for condition in BUILT_IN],
        "cli": [verb.name for verb in VERBS],
    }.items():
        assert set(names) <= words(folder), f"tests/{folder} does not name all of these"


def test_the_tables_are_those_of_the_answers():
    text = tables.PAGE.read_text()
    assert {path for _, path, _ in tables.REGION.findall(text)} == {*tables.answers()}
    assert tables.CONDITIONS.search(text)
    assert tables.written(text) == text, "python -m tests.tables renews them"


def test_every_column_has_a_meaning():
    bare = re.findall(r"^\| (\S+) \|  \|$", tables.PAGE.read_text(), re.MULTILINE)
    assert bare == []


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    pages += [f"notebooks/{path.stem}.md" for path in NOTEBOOKS.glob("*.ipynb")]
    assert [page for page in pages if f" {page}\n" not in menu] == []


def test_commands_in_the_documents_exist_with_their_options():
    written = [
        line.split("#")[0].split()[1:]
        for path in PAGES
        for line in re.findall(r"^(?:\$ )?(cwda [a-z].*)$", path.read_text(), re.MULTILINE)
    ]
    assert len(written) > 10
    context = click.Context(group)
    for verb, *words in written:
        command = group.get_command(context, verb)
        assert command is not None, verb
        known = {option for part in command.params for option in part.opts}
        used = {word.split("=")[0] for word in words if re.match(r"--\w", word)}
        assert used <= known | {"--help"}, verb


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_in_the_documents_exist(page):
    code = _code(page)
    for name in {*re.findall(r"\bcwda\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", code)}:
        if (ROOT / "cwda" / name).is_dir():
            continue
        thing = cwda
        for part in name.split("."):
            thing = getattr(thing, part)
        assert name.split(".")[0] in cwda.__all__, f"cwda.{name} needs an import"
    for room, names in re.findall(r"^from (cwda[\w.]*) import (.*)$", _text(page), re.M):
        for name in names.split(", "):
            getattr(importlib.import_module(room), name.split(" as ")[0])


def _text(page):
    """A page without the examples of what is to come."""
    return re.sub(r"^(`{3,})\w+ title=.*?^\1$", "", page.read_text(), flags=re.M | re.S)


def _code(page):
    """The Python of a page, but for imports and names of files."""
    text = _text(page)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        ast.parse(block)
    words = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    lines = [line for block in blocks for line in block.splitlines()]
    words = [word for word in words if not re.search(r"\.(py|pyi|md|json|npz|csv)\b", word)]
    return "\n".join([*words, *(line for line in lines if not line.startswith("from "))])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_prose_are_short(page):
    """Tables, code, formulas, and links that fill a line may be longer."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    free = re.compile(r"\s*\||\s*\$\$|\s*!?\[[^]]*\]\([^)]*\)\S*$")
    assert [line for line in text.splitlines() if len(line) > 100 and not free.match(line)] == []


def test_the_picture_and_the_list_of_rooms_are_whole():
    package = ROOT / "cwda"
    rooms = [path.name for path in package.iterdir() if (path / "__init__.py").exists()]
    picture = (DOCS / "images" / "rooms.svg").read_text()
    text = (DOCS / "architecture.md").read_text()
    assert [room for room in rooms if f">{room}<" not in picture] == []
    assert [room for room in rooms if f"`cwda/{room}/`" not in text] == []
