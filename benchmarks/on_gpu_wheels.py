"""What a bare machine lacks: which wheels to bring there, and how they are put in place.

Needs the standard library alone, since it runs before anything is installed. What the project
needs stands in pyproject.toml; what these libraries need in turn, in their own metadata.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.on_gpu_tests import files_with_gpu_tests

__all__ = ["Target", "bootstrap", "download_command", "missing"]

ROOT = Path(__file__).resolve().parent.parent

#: Rooms that no step uses: what they alone import, such as the typesetter, stays at home.
UNUSED_ROOMS = {"calibration", "cli", "figures", "reporting", "study"}

#: pip matches these one by one.
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17)),
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
)


@dataclass(frozen=True)
class Target:
    """The machine that wheels are for.

    Attributes
    ----------
    python : str
        Its version of Python, such as "3.12".
    torch : str
        Its version of PyTorch, such as "2.11".
    installed : collection of str
        Names of the distributions that it has, besides PyTorch and what PyTorch needs.
    """

    python: str = "3.12"
    torch: str = "2.11"
    installed: Collection[str] = ()


@functools.cache
def requirements() -> tuple[str, ...]:
    """What the project needs for these steps and for its `gpu` tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    package = [
        path
        for path in (ROOT / "cwda").rglob("*.py")
        if path.relative_to(ROOT / "cwda").parts[0] not in UNUSED_ROOMS
    ]
    tests = [ROOT / path for path in files_with_gpu_tests()]
    steps = [*(ROOT / "benchmarks").glob("on_gpu*.py"), *tests, ROOT / "tests" / "conftest.py"]
    used = set().union(*map(imports, [*package, *steps])) | {"pytest"}
    return tuple(line for line in lines if module_of(line) in used - {"cwda"})


def imports(path: Path) -> set[str]:
    """Top-level modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def module_of(requirement: str) -> str:
    """The module of a requirement, for those of this project.

    Examples
    --------
    >>> module_of("lazy_loader>=0.4"), module_of("pillow>=10")
    ('lazy_loader', 'PIL')
    """
    name = name_of(requirement)
    return {"pillow": "PIL"}.get(name, name.replace("-", "_"))


def name_of(requirement: str) -> str:
    """The normalised name in a requirement or in the name of a wheel.

    Examples
    --------
    >>> name_of("lazy_loader>=0.4"), name_of("lazy_loader-0.4-py3-none-any.whl")
    ('lazy-loader', 'lazy-loader')
    """
    match = re.match(r"[A-Za-z0-9._]+(-(?!\d)[A-Za-z0-9._]+)*", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def is_installed(name: str) -> bool:
    """Whether this interpreter has a distribution."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def missing() -> list[str]:
    """Requirements of the project that this interpreter does not have."""
    return [line for line in requirements() if not is_installed(name_of(line))]


def closure(names: Iterable[str], python: str) -> list[str]:
    """Distributions with all that they need, as far as they are installed here.

    Parameters
    ----------
    names : iterable of str
        Requirements or names.
    python : str
        Markers are evaluated for this version of Python on Linux.
    """
    from packaging.requirements import Requirement

    environment: dict[str, Any] = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "extra": "",
    }
    found: list[str] = []
    waiting = [name_of(name) for name in names]
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found.append(name)
        needs = importlib.metadata.requires(name) if is_installed(name) else None
        for line in needs or ():
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate(environment):
                waiting.append(name_of(need.name))
    return found


def wheels_for(target: Target) -> list[str]:
    """What the target lacks, each as ``name==version`` with the version installed here."""
    there = {name_of(name) for name in target.installed} | set(closure(["torch"], target.python))
    lacking = [name for name in closure(requirements(), target.python) if name not in there]
    return [_pinned(name, target) for name in lacking]


def _pinned(name: str, target: Target) -> str:
    if name == "torchvision":  # each release belongs to one of torch: 0.26 to 2.11
        return f"torchvision==0.{int(target.torch.split('.')[1]) + 15}.*"
    return f"{name}=={importlib.metadata.version(name)}" if is_installed(name) else name


def download_command(target: Target, folder: str) -> str:
    """The command that downloads the wheels into a folder, or what to say if there are none."""
    wheels = wheels_for(target)
    if not wheels:
        return "# nothing is missing there"
    command = ["python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", target.python, "--implementation", "cp"]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    return shlex.join([*command, "--dest", folder, *wheels])


def bootstrap(folder: Path) -> tuple[str, list[str]]:
    """Install the wheels of a folder that this interpreter lacks, beside what it has.

    Returns
    -------
    tuple
        The folder that they are in, empty if there was nothing to install, and the requirements
        of the project that are missing all the same.
    """
    wheels = [path for path in sorted(folder.glob("*.whl")) if not is_installed(name_of(path.name))]
    if not missing() or not wheels:
        return "", missing()
    site = tempfile.mkdtemp(prefix="cwda-wheels-")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-compile", "--disable-pip-version-check", "--find-links", str(folder)]
    together = subprocess.run([*command, "--target", site, *map(str, wheels)], check=False)
    # One after the other: a wheel that does not fit this machine must not lose the others.
    for wheel in wheels if together.returncode else ():
        subprocess.run([*command, "--target", site, "--upgrade", str(wheel)], check=False)
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))
    return site, missing()
