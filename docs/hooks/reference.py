"""Fill the reference of Python: the public names of a room, wherever they are defined.

A line `::: names of cwda.ROOM` in a page stands for them, so that a new name needs no edit here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMES = re.compile(r"^::: names of (cwda\.\w+)$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write a line for mkdocstrings in place of each name, once on a page."""
    written: set[str] = set()

    def lines(room: re.Match[str]) -> str:
        new = [path for path in paths(room[1]) if path not in written]
        written.update(new)
        return "\n\n".join(map(entry, new))

    return NAMES.sub(lines, markdown)


def entry(path: str) -> str:
    """What mkdocstrings reads of a name.

    An object that was made of a function by a decorator is not called as the function is.
    """
    module, _, name = path.rpartition(".")
    thing = getattr(sys.modules.get(module), name, None)
    made = hasattr(thing, "__wrapped__") and not inspect.isfunction(thing)
    return f"::: {path}" + ("\n    options:\n      show_signature: false" if made else "")


def paths(room: str) -> list[str]:
    """Where the public names of a room are defined, and the classes that its functions return."""
    module = importlib.import_module(room)
    found: dict[str, None] = {}
    for name in public_names()[room]:
        thing = getattr(module, name)
        found[definition(room, name, thing)] = None
        if inspect.isfunction(thing):
            found |= dict.fromkeys(returned(thing))
    return [*found]


def public_names() -> dict[str, list[str]]:
    """The public names by room: all of a room that is public itself, else those of the stub."""
    import cwda

    stub = ast.parse((ROOT / "cwda" / "__init__.pyi").read_text())
    found: dict[str, list[str]] = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module != "_version":
            found.setdefault(f"cwda.{node.module}", []).extend(name.name for name in node.names)
    for name in cwda.__all__:
        if inspect.ismodule(room := getattr(cwda, name)):
            found[f"cwda.{name}"] = sorted(room.__all__, key=str.lower)
    return found


def returned(function: Any) -> list[str]:
    """The classes of this package in the annotation of what a function returns."""
    module = sys.modules[function.__module__]
    words = re.findall(r"\w+", str(function.__annotations__.get("return", "")))
    classes = [getattr(module, word, None) for word in words]
    return [
        f"{thing.__module__}.{thing.__name__}"
        for thing in classes
        if inspect.isclass(thing) and thing.__module__.startswith("cwda.")
    ]


def definition(room: str, name: str, thing: Any) -> str:
    """The path of a name in the file that defines it.

    The shorter path would not do: a module of the same name would be taken for it.
    """
    own = getattr(thing, "__module__", "")
    for module in (own, *sorted(sys.modules)):
        if not module.startswith("cwda.") or vars(sys.modules[module]).get(name) is not thing:
            continue
        if name in _defined(module):
            return f"{module}.{name}"
    return f"{room}.{name}"


@cache
def _defined(module: str) -> frozenset[str]:
    """Names that the file of a module defines, not those that it imports."""
    body = ast.parse(Path(str(sys.modules[module].__file__)).read_text()).body
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)
