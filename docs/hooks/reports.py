"""Bring the results in reports/ into the site: pages link to them as they do in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

REPORTS = Path(__file__).resolve().parents[2] / "reports"
SHOWN = {".csv", ".json", ".pdf", ".png", ".svg"}


def on_files(files: Files, config: Any) -> Files:
    """Add the files of reports/ under the same name."""
    for path in sorted(REPORTS.rglob("*")):
        if path.suffix in SHOWN:
            name = str(Path("reports") / path.relative_to(REPORTS))
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links out of docs/ into reports/ are links within the site."""
    return markdown.replace("](../reports/", "](reports/")
