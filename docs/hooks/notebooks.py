"""Show the notebooks as pages, with the outputs that they are stored with; nothing is run."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook, its pictures, and the notebook itself."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        name = f"notebooks/{path.stem}"
        text, pictures = as_markdown(json.loads(path.read_text()), path.name)
        files.append(File.generated(config, f"{name}.md", content=text))
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
        for file, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{file}", content=content))
    return files


def as_markdown(notebook: dict[str, Any], name: str) -> tuple[str, dict[str, bytes]]:
    """The text of the page, and its pictures by their names."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code":
            parts.append(fenced(source, "python"))
            for output in cell["outputs"]:
                if output.get("name") == "stderr":  # bars of progress
                    continue
                parts.append(_output(output, name.removesuffix(".ipynb"), pictures))
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\n[Download this notebook]({name})\n{rest}\n", pictures


def fenced(text: str, language: str) -> str:
    """A block of code whose fence is longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> str:
    """A picture, a table or text: the first of these that the output has."""
    if output["output_type"] == "stream":
        return fenced("".join(output["text"]), "text")
    data = output.get("data", {})
    if "image/png" in data:
        file = f"{stem}-{len(pictures)}.png"
        pictures[file] = base64.b64decode("".join(data["image/png"]))
        return f"![Output of the cell above]({file})"
    if "text/html" in data:
        return _html("".join(data["text/html"]))
    return fenced("".join(data.get("text/plain", "")), "text")


def _html(text: str) -> str:
    """HTML without what pandas adds for the notebook's looks, and without blank lines: Markdown
    would end it there."""
    text = re.sub("<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<\w+[^>]*?)(?: (?:border|class|style)="[^"]*")+', r"\1", text)
    lines = "\n".join(line for line in text.splitlines() if line.strip())
    return f'<div class="output">\n{lines}\n</div>'
