"""What the shell offers: names read from the text of the sources, as importing takes seconds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

__all__ = [
    "complete_conditions",
    "complete_criteria",
    "complete_models",
    "complete_rungs",
    "complete_sources",
    "conditions",
    "criteria",
    "models",
    "rungs",
]

Items = list[CompletionItem]

_PACKAGE = Path(__file__).resolve().parent.parent
_BUILT_IN = ("resnet20-cifar10", "resnet20-cifar10:init")


def models() -> list[str]:
    """Names of networks, without those of their sets of weights."""
    folder = _folder_of("torchvision")
    found = _matches(r"^@register_model\(\)\n.*?^def (\w+)", folder and folder / "models")
    return [*_BUILT_IN, *sorted(found)]


def criteria() -> list[str]:
    """Names of the criteria that the package registers."""
    return list(_matches(r"^@criterion\(\s*\"(\w+)\"", _PACKAGE / "pruning"))


def conditions() -> list[str]:
    """Names of the conditions of the package, in the order of tables."""
    return [
        name.strip()
        for names in _matches(r"^BUILT_IN = \(([\w\s,]*)\)", _PACKAGE / "conditions")
        for name in names.split(",")
        if name.strip()
    ]


def rungs() -> list[str]:
    """Names of the rungs of the ladder."""
    return list(_matches(r"^[A-Z]+ = Rung\(\s*\"(\w+)\"", _PACKAGE / "theory"))


def complete_models(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """Names of networks."""
    return [CompletionItem(name) for name in models() if name.startswith(begun)]


def complete_sources(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """Names of networks and paths; the shell's own completion of paths if no network matches."""
    named = complete_models(context, option, begun)
    if not named:
        return [CompletionItem(begun, type="file")]
    return [*named, *(CompletionItem(path) for path in _paths(begun))]


def complete_criteria(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """The last of several names of criteria."""
    return _last(begun, criteria())


def complete_conditions(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """The last of several names of conditions."""
    return _last(begun, conditions())


def complete_rungs(context: click.Context, option: click.Parameter, begun: str) -> Items:
    """The last of several names of rungs."""
    return _last(begun, rungs())


def _last(begun: str, names: list[str]) -> Items:
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


def _matches(pattern: str, folder: Any) -> Iterator[str]:
    """What the group of a pattern matches in the files of a folder; nothing if it is none."""
    if folder is None or not folder.is_dir():
        return
    for path in sorted(folder.rglob("*.py")):
        if path.parent.name == "quantization":  # torchvision's networks of packed integers
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from re.findall(pattern, text, re.MULTILINE | re.DOTALL)
