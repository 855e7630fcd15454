"""The results as tables in a Markdown page."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["is_failure", "summary", "write"]

#: Limits of processor time and of memory beyond the file.
MOST_SECONDS, MOST_BYTES = 10.0, 1 << 30
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_MIB = 1 << 20

Result = dict[str, Any]


def is_failure(result: Result) -> bool:
    """Whether a case broke a promise."""
    fine = result["outcome"] in ("table", "refusal")
    return not (fine and result["seconds"] <= MOST_SECONDS and result["beyond"] <= MOST_BYTES)


def summary(results: list[Result]) -> str:
    """One line."""
    count = Counter(result["outcome"] for result in results)
    parts = ", ".join(f"{number} {outcome}" for outcome, number in count.most_common())
    slowest = max(result["seconds"] for result in results)
    peak = max(result["beyond"] for result in results) / _MIB
    failures = sum(map(is_failure, results))
    return (
        f"{len(results)} cases: {parts}; {failures} failures, slowest {slowest:.1f} s, "
        f"most memory beyond the file {peak:.0f} MiB"
    )


def write(path: Path, results: list[Result], seed: int) -> None:
    """Put the tables between the marks of the page."""
    page = path.read_text(encoding="utf-8")
    before, rest = page.split(_BEGIN)
    after = rest.split(_END)[1]
    body = "\n\n".join([_heading(results, seed), _by("format", results), _by("kind", results)])
    path.write_text(f"{before}{_BEGIN}\n{body}\n{_END}{after}", encoding="utf-8")


def _heading(results: list[Result], seed: int) -> str:
    names = ("torch", "numpy", "h5py", "onnx", "safetensors")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    today = datetime.date.today().isoformat()
    return (
        f"{summary(results)}. Seed {seed}, {today}, Python {platform.python_version()}, "
        f"{versions}, {platform.system()} {platform.machine()}."
    )


def _by(column: str, results: list[Result]) -> str:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result[column], []).append(result)
    lines = [
        f"| {column} | cases | tables | refusals | failures | slowest, s | memory beyond, MiB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, group in sorted(groups.items()):
        count = Counter(result["outcome"] for result in group)
        slowest = max(result["seconds"] for result in group)
        peak = max(result["beyond"] for result in group) / _MIB
        lines.append(
            f"| {name} | {len(group)} | {count['table']} | {count['refusal']} | "
            f"{sum(map(is_failure, group))} | {slowest:.2f} | {peak:.0f} |"
        )
    return "\n".join(lines)
