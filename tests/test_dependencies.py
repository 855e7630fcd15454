"""What pyproject.toml declares is what the package imports, no more and no less."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Imported by others: by torch when it exports to ONNX, by the Trainer of transformers.
BY_OTHERS = {"onnx", "onnxscript", "accelerate"}


def declared(requirements):
    names = (re.match(r"[\w.-]+", requirement)[0] for requirement in requirements)
    modules = {"pillow": "PIL"}
    return {modules.get(name, name.replace("-", "_")) for name in names} - {"cwda"}


@cache
def imported():
    """Top-level modules that the package imports, wherever the import stands."""
    found = set()
    for path in (ROOT / "cwda").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - {"cwda", "_typeshed", *sys.stdlib_module_names}


REQUIRED = declared(PROJECT["dependencies"])
OPTIONAL = {
    name: declared(requirements)
    for name, requirements in PROJECT["optional-dependencies"].items()
    if name not in ("bench", "docs", "test")
}


def test_every_declared_dependency_is_imported():
    assert not REQUIRED - imported()


def test_every_import_is_declared():
    assert imported() <= REQUIRED.union(*OPTIONAL.values())


def test_every_extra_is_of_use():
    unused = {name: libraries - imported() - BY_OTHERS for name, libraries in OPTIONAL.items()}
    assert {name: libraries for name, libraries in unused.items() if libraries} == {}
