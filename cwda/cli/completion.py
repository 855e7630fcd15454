"""What the shell offers: names read from the text of the sources, as importing takes seconds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = [
    "complete_criterion",
    "complete_models",
    "complete_sources",
    "conditions",
    "criteria",
    "factors",
    "last_of",
    "models",
    "rungs",
]

Items = list[CompletionItem]

_PACKAGE = Path(__file__).resolve().parent.parent
_BUILT_IN = ("resnet20-cifar10", "resnet20-cifar10:init")


def models() -> list[str]:
    """Names of networks, without those of their sets of weights."""
    folder = _folder_of("torchvision")
    names = _matches(r"^@register_model\(\)\n.*?^def (\w+)", folder and folder / "models")
    return [*_BUILT_IN, *sorted(names)]


def criteria() -> list[str]:
    """Names of the criteria of the package, in the order of tables."""
    return _listed("BUILT_IN", _PACKAGE / "scoring")


def conditions() -> list[str]:
    """Names of the conditions of the package, in the order of tables."""
    return _listed("BUILT_IN", _PACKAGE / "conditions")


def rungs() -> list[str]:
    """Names of the rungs, from the lowest up."""
    return _listed("LADDER", _PACKAGE / "theory")


def factors() -> list[str]:
    """Names of the factors of the study."""
    return _listed("FACTORS", _PACKAGE / "study")


def complete_models(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """Names of networks."""
    return [CompletionItem(name) for name in models() if name.startswith(begun)]


def complete_sources(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """Names of networks and paths; the shell's own completion of paths if no network matches."""
    named = complete_models(context, option, begun)
    if not named:
        return [CompletionItem(begun, type="file")]
    return [*named, *(CompletionItem(path) for path in _paths(begun))]


def complete_criterion(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """The name of one criterion."""
    return [CompletionItem(name) for name in criteria() if name.startswith(begun)]


def last_of(begun: str, names: list[str]) -> Items:
    """The names that complete the last of a comma-separated list, each once."""
    before, comma, last = begun.rpartition(",")
    taken = before.split(",")
    return [
        CompletionItem(before + comma + name)
        for name in names
        if name.startswith(last) and name not in taken
    ]


def _paths(begun: str) -> Iterator[str]:
    """Files and folders of the working directory; with model names go no longer paths."""
    for path in sorted(Path().glob(f"{_literal(begun)}*")):
        yield f"{path}/" if path.is_dir() else str(path)


def _literal(text: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", text)


def _folder_of(package: str) -> Path | None:
    """Where a package lies, without importing it."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _listed(variable: str, folder: Path) -> list[str]:
    """The names of the objects or texts in a tuple, or the keys of a mapping, in some file."""
    said = _Said.of(folder)
    return [name for part in said.parts(variable) for name in said.names(part)]


@dataclass(frozen=True)
class _Said:
    """What the files of a folder assign, and what the objects are called that they define."""

    assigned: dict[str, ast.expr]
    called: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> _Said:
        said = cls({}, {})
        for statement in _statements(folder):
            match statement:
                case ast.FunctionDef(name=name, decorator_list=decorators):
                    given = (_name_in(each) for each in decorators if isinstance(each, ast.Call))
                    said.called[name] = next(filter(None, given), name)
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    said.assigned[name] = value
                    if isinstance(value, ast.Call):
                        said.called[name] = _name_in(value)
        return said

    def parts(self, variable: str) -> list[ast.expr]:
        value = self.assigned.get(variable)
        if isinstance(value, ast.Dict):
            return [key for key in value.keys if key]
        return list(getattr(value, "elts", []))

    def names(self, part: ast.expr) -> list[str]:
        """Its name; the names of all parts of another tuple that is unpacked here."""
        if isinstance(part, ast.Starred) and isinstance(part.value, ast.Name):
            return [name for each in self.parts(part.value.id) for name in self.names(each)]
        if isinstance(part, ast.Name):
            return [self.called.get(part.id, part.id)]
        return [str(ast.literal_eval(part))]


def _name_in(call: ast.Call) -> str:
    """The name that a call gives: its `name`, or its first text."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    for value in (*named, *call.args[:1]):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""


def _statements(folder: Path) -> Iterator[ast.stmt]:
    """What the files of a folder say at their top level."""
    for path in sorted(folder.rglob("*.py")):
        yield from ast.parse(path.read_text(encoding="utf-8")).body


def _matches(pattern: str, folder: Any) -> Iterator[str]:
    """What the group of a pattern matches in the files of a folder; nothing if it is none."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name == "quantization":  # torchvision's networks of packed integers
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from re.findall(pattern, text, re.MULTILINE | re.DOTALL)
