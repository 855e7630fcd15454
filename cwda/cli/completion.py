"""What the shell offers: names read from the text of the sources, as importing takes seconds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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
    """Names of the criteria that the package registers."""
    return _declared("criterion", _PACKAGE / "scoring")


def conditions() -> list[str]:
    """Names of the conditions of the package, in the order of tables."""
    return _listed("BUILT_IN", _PACKAGE / "conditions")


def rungs() -> list[str]:
    """Names of the rungs of the ladder."""
    return _declared("rung", _PACKAGE / "theory")


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


def _declared(maker: str, folder: Path) -> list[str]:
    """What the calls of `maker` in the files of a folder declare: their `name`, or first text.

    A decorator without either declares the name of its function.
    """
    names: dict[str, None] = {}
    for node in _nodes(folder):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and _called(decorator) == maker:
                    names[_name_in(decorator) or node.name] = None
        elif isinstance(node, ast.Call) and _called(node) == maker.capitalize():
            names |= {name: None for name in [_name_in(node)] if name}
    return list(names)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _name_in(call: ast.Call) -> str:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    for value in (*named, *call.args[:1]):
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return ""


def _listed(variable: str, folder: Path) -> list[str]:
    """The names or texts in a tuple, or the keys of a mapping, that a file assigns."""
    for node in _nodes(folder):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == variable for target in targets):
                return _texts(node.value)
    return []


def _texts(value: ast.expr | None) -> list[str]:
    parts = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", [])
    return [
        part.id if isinstance(part, ast.Name) else str(ast.literal_eval(part))
        for part in filter(None, parts)
    ]


def _nodes(folder: Path) -> Iterator[ast.AST]:
    """What the files of a folder say at their top level."""
    for path in sorted(folder.rglob("*.py")):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            yield statement
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
                yield statement.value


def _matches(pattern: str, folder: Any) -> Iterator[str]:
    """What the group of a pattern matches in the files of a folder; nothing if it is none."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name == "quantization":  # torchvision's networks of packed integers
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from re.findall(pattern, text, re.MULTILINE | re.DOTALL)
