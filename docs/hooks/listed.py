"""Fill in the chapters of the report, and the figures that docs/figures.md does not describe.

A comment in a page stands for them, so that a new chapter or figure needs no edit of the page.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parents[1] / "images" / "figures"
CHAPTERS = "<!-- the chapters of cwda.reporting.CHAPTERS -->"
FIGURES = "<!-- figures that this page does not describe -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Write the lists in place of their comments."""
    if CHAPTERS in markdown:
        markdown = markdown.replace(CHAPTERS, chapters())
    if FIGURES in markdown:
        markdown = markdown.replace(FIGURES, figures(markdown))
    return markdown


def chapters() -> str:
    """A line for each chapter: its title, and what it says."""
    from cwda.reporting import CHAPTERS

    return "\n".join(f"- **{chapter.title}**: {chapter.about}" for chapter in CHAPTERS)


def figures(page: str) -> str:
    """For each figure that the page leaves out: its call, the text of its docstring, pictures."""
    from cwda import figures

    drawing = [name for name in figures.__all__ if name != "save"]
    missing = [name for name in drawing if f"`{name}(" not in page]
    return "\n\n".join(_figure(name, getattr(figures, name)) for name in missing)


def _figure(name: str, function: Any) -> str:
    text = re.split(r"\n+Parameters\n-+", inspect.getdoc(function) or "")[0]
    summary = text.partition("\n")[0]
    what = [part for part in inspect.signature(function).parameters if part not in ("ax", "device")]
    pictures = [
        f"![{summary}](images/figures/{path.name})"
        for path in sorted(PICTURES.glob(f"{name}*.png"))
    ]
    return "\n\n".join([f"**`{name}({', '.join(what)})`**: {text}", *pictures])
