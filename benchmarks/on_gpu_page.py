"""The section of the page of benchmarks that was measured on a GPU."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

__all__ = ["HEADING", "fragment", "merged", "sections"]

#: How such sections begin; a page of benchmarks keeps them when the rest is made anew.
HEADING = "## Measured on "


def fragment(parts: Iterable[tuple[str, str, str]], dry_run: bool) -> str:
    """A section of titles, texts and problems, under the name of the device.

    Examples
    --------
    >>> machine = ("Machine", "- device: NVIDIA H100 (`cuda`)\\n", "")
    >>> print(fragment([machine, ("Tests", "", "Stopped.")], dry_run=False).splitlines()[0])
    ## Measured on NVIDIA H100
    """
    parts = list(parts)
    name = "an unknown device"
    for _, text, _ in parts:
        found = re.search(r"^- device: (.*) \(`", text, re.MULTILINE)
        name = found[1] if found else name
    lines = ["# Dry run on the CPU: nothing here is a measurement" if dry_run else HEADING + name]
    day = datetime.date.today()
    lines += ["", f"Made by `python -m benchmarks.on_gpu` on {day}, on that machine alone.", ""]
    for title, text, problem in parts:
        lines += [f"### {title}", "", text.strip(), ""]
        lines += [f"**{problem}**", ""] if problem else []
    return "\n".join(lines)


def sections(page: str) -> list[str]:
    """The sections of a page that were measured on GPUs, each with its heading."""
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return [part.rstrip() + "\n" for part in parts if part.startswith(HEADING)]


def merged(page: str, section: str) -> str:
    """A page with a section in place of the one for the same device, or at its end.

    Examples
    --------
    >>> page = "# Benchmarks\\n\\n## Measured on A\\n\\nold\\n"
    >>> print(merged(page, "## Measured on A\\n\\nnew\\n"))
    # Benchmarks
    <BLANKLINE>
    ## Measured on A
    <BLANKLINE>
    new
    <BLANKLINE>
    """
    heading = section.splitlines()[0]
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    kept = [part.rstrip() + "\n" for part in parts if part.splitlines()[:1] != [heading]]
    return "\n".join([*kept, section.rstrip() + "\n"])
