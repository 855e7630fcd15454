"""The worked examples of docs/extending.md: applied to a copy of the repository, counted and run.

``python -m tests.extending`` prints how many files each kind of addition touches; with the path of
another page it tries the examples of that page.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "extending.md"

#: Files to touch, tests and documentation included: before each thing was one object that knows
#: its own name, words and behaviour, and how many are allowed.
FILES = {
    "condition": (23, 5),
    "criterion": (6, 3),
    "reader": (9, 4),
    "figure": (7, 5),  # two of them, picture and gallery, are made by the tests
    "chapter": (6, 3),
    "verb": (6, 3),
}

#: What the examples and the tests of documents and rooms need of the repository.
NEEDED = ("benchmarks", "cwda", "docs", "notebooks", "reports", "tests",
          "CONTRIBUTING.md", "README.md", "mkdocs.yml", "pyproject.toml")  # fmt: skip
GUARDS = ("tests/test_documentation.py", "tests/test_architecture.py")
TRY = "tests/test_of_the_example.py"

HEADING = re.compile(r"^## Add an? (\w+)")
FENCE = re.compile(r'^(?P<marks>`{3,})(?P<language>\w*)(?: title="(?P<title>[^"]*)")?\s*$')


@dataclass(frozen=True)
class Block:
    """A block of code of the page."""

    language: str
    title: str
    text: str


@dataclass
class Example:
    """How one kind of thing is added."""

    kind: str
    blocks: list[Block] = field(default_factory=list)

    def titled(self, title: str) -> str:
        """The code of all blocks with this title."""
        return "\n".join(block.text for block in self.blocks if block.title == title)


def examples(page: Path = PAGE) -> dict[str, Example]:
    """The examples of a page, by kind."""
    found: dict[str, Example] = {}
    example = Example("")
    lines = iter(page.read_text().splitlines())
    for line in lines:
        if heading := HEADING.match(line):
            example = found.setdefault(heading[1], Example(heading[1]))
        elif fence := FENCE.match(line):
            text = "\n".join(_until(lines, fence["marks"])) + "\n"
            example.blocks.append(Block(fence["language"], fence["title"] or "", text))
    return found


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    for line in lines:
        if line == end:
            return
        yield line
    raise ValueError(f"a block of code has no end: {end}")


def copy_of_the_repository(folder: Path) -> Path:
    """What is needed of the repository, in an empty folder; compiled files save time."""
    for name in NEEDED:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    return folder


def apply(example: Example, folder: Path) -> list[str]:
    """Make the changes of an example in a copy of the repository; the files that then differ."""
    before = _state(folder)
    for block in example.blocks:
        if block.language == "diff":
            _apply_diff(block.text, folder)
        elif block.title == "run":
            subprocess.run(
                ["sh", "-ec", block.text], cwd=folder, env=_environment(folder), check=True
            )
        elif block.title not in ("", "try", "notebook"):
            path = folder / block.title
            if path.exists():
                raise ValueError(f"{block.title} exists: show the change as a diff")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    after = _state(folder)
    return sorted(path for path in before | after if before.get(path) != after.get(path))


def _state(folder: Path) -> dict[str, bytes]:
    """A digest of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def _apply_diff(diff: str, folder: Path) -> None:
    """Apply a diff by its text, whatever the numbers of its lines."""
    for part in re.split(r"^(?=--- a/)", diff, flags=re.M):
        path = re.search(r"^\+\+\+ b/(\S+)$", part, re.M)
        if path is None:
            continue
        text = (folder / path[1]).read_text()
        for hunk in re.split(r"^@@.*\n", part, flags=re.M)[1:]:
            lines = [line if line else " " for line in hunk.splitlines()]
            before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
            after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
            if text.count(before) != 1:
                times = text.count(before)
                raise ValueError(f"{path[1]} has these lines {times} times, not once:\n{before}")
            text = text.replace(before, after)
        (folder / path[1]).write_text(text)


def run(
    examples: Collection[Example], files: Iterable[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run the tests among the files, those of documents and rooms, and the examples' last lines.

    One process: importing torch takes longer than the tests.
    """
    own = [path for path in files if re.fullmatch(r"tests/.*test_\w+\.py", path)]
    lines = [
        f"def test_{example.kind}_{title}():\n{textwrap.indent(example.titled(title), '    ')}\n\n"
        for title in ("try", "notebook")
        for example in examples
        if example.titled(title)
    ]
    (folder / TRY).write_text("".join(lines))
    options = ["-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *own, *GUARDS, TRY],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
    )


def _environment(folder: Path) -> dict[str, str]:
    """Imports come from the copy."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    names = ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {"PYTHONPATH": str(folder), "PATH": path}


def main(page: Path) -> int:
    """Print the table of all kinds; the exit code is 1 if an example fails or touches too much."""
    failed = False
    print(f"{'kind':<10} {'files':>5} {'before':>6} {'allowed':>7}")
    for kind, example in examples(page).items():
        before, allowed = FILES[kind]
        with tempfile.TemporaryDirectory() as name:
            folder = copy_of_the_repository(Path(name))
            files = apply(example, folder)
            done = run([example], files, folder)
        print(f"{kind:<10} {len(files):>5} {before:>6} {allowed:>7}  {', '.join(files)}")
        if done.returncode:
            print(done.stdout, done.stderr)
        failed |= bool(done.returncode) or len(files) > allowed
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE))
