"""One template, two formats: a `Document` becomes the bytes of a PDF or of an HTML file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from cwda.reporting.document import Document, template_inputs

__all__ = ["html_bytes", "pdf_bytes"]

#: PDF/UA-1: tagged, with a title, a language and alternative texts, for every reader.
STANDARD = "ua-1"


def pdf_bytes(document: Document) -> bytes:
    """The document as PDF/UA-1; equal documents give equal bytes."""
    return _compile(document, format="pdf", pdf_standards=[STANDARD], timestamp=0)


def html_bytes(document: Document) -> bytes:
    """The document as one HTML file that needs no other; tables sort by a click on a head."""
    page = _compile(document, format="html").decode()
    style, script = _template("page.css"), _template("page.js")
    page = page.replace("</head>", f"<style>\n{style}</style></head>", 1)
    before, _, after = page.rpartition("</body>")
    return f"{before}<script>\n{script}</script></body>{after}".encode()


def _compile(document: Document, **options: Any) -> bytes:
    import matplotlib as mpl
    import typst

    files = {
        "main.typ": _template("report.typ").encode(),
        "equations.typ": _template("equations.typ").encode(),
        **template_inputs(document),
    }
    fonts = str(Path(mpl.get_data_path()) / "fonts" / "ttf")  # of the text in pictures
    inputs = {"format": options["format"]}
    compiled: bytes = typst.compile(
        files, ignore_system_fonts=True, font_paths=[fonts], sys_inputs=inputs, **options
    )
    return compiled


def _template(name: str) -> str:
    return resources.files("cwda.reporting").joinpath("template", name).read_text("utf-8")
