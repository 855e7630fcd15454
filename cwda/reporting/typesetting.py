"""One template, two formats: a `Document` becomes the bytes of a PDF or of an HTML file."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from cwda.errors import CwdaError
from cwda.reporting.blocks import Equation, Heading, Picture
from cwda.reporting.document import Document, template_inputs, tones

__all__ = ["html_bytes", "pdf_bytes", "png_pages"]

#: PDF/UA-1: tagged, with a title, a language and alternative texts, for every reader.
STANDARD = "ua-1"


#: Typst writes accents as marks that combine with a letter before them, but MathML places accents
#: by itself, and a mark would end up next to the letter.
ACCENTS = {"\u0302": "^", "\u0304": "¯"}


def pdf_bytes(document: Document) -> bytes:
    """The document as PDF/UA-1; equal documents give equal bytes."""
    return _compile(document, format="pdf", pdf_standards=[STANDARD], timestamp=0)


def png_pages(document: Document, *, ppi: float = 96.0) -> list[bytes]:
    """The pages of the PDF as pictures of so many pixels per inch."""
    pages = _compiled(document, format="png", ppi=ppi)
    return [pages] if isinstance(pages, bytes) else list(pages)


def html_bytes(document: Document) -> bytes:
    """The document as one HTML file that needs no other; tables sort by a click on a head."""
    page = _compile(document, format="html").decode()
    style, script = _font() + _tones() + _template("page.css"), _template("page.js")
    for mark, accent in ACCENTS.items():
        page = page.replace(f"<mo>{mark}</mo>", f"<mo>{accent}</mo>")
    page = page.replace("</head>", f"<style>\n{style}</style></head>", 1)
    before, _, after = page.rpartition("</body>")
    return f"{before}<script>\n{script}</script></body>{after}".encode()


def _compile(document: Document, **options: Any) -> bytes:
    import typst

    try:
        compiled: bytes = _compiled(document, **options)
    except typst.TypstError as error:  # an equation or a picture of the user's own
        first = next(iter(str(error).splitlines()), "")
        raise CwdaError(
            f"the report cannot be typeset: {first}; check {_suspect(document, **options)}"
        ) from error
    return compiled


def _suspect(document: Document, **options: Any) -> str:
    """Which equation or picture cannot be typeset by itself, and of which chapter it is."""
    import typst

    chapter = ""
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 1:
            chapter = f" of the chapter {block.text!r}"
        elif isinstance(block, Equation | Picture):
            try:
                _compiled(replace(document, blocks=[block]), **options)
            except typst.TypstError:
                return f"the {type(block).__name__.lower()}{chapter}"
    return "your own equations and pictures"


def _compiled(document: Document, **options: Any) -> Any:
    import matplotlib as mpl
    import typst

    files = {
        "main.typ": _template("report.typ").encode(),
        **template_inputs(document),
    }
    fonts = str(Path(mpl.get_data_path()) / "fonts" / "ttf")  # of the text in pictures
    inputs = {"format": options["format"]}
    return typst.compile(
        files, ignore_system_fonts=True, font_paths=[fonts], sys_inputs=inputs, **options
    )


def _font() -> str:
    """The font of the equations, within the page: many machines have none for mathematics.

    It is STIX Two Math, reduced to the signs of formulas such as these (`fontTools.subset`).
    """
    font = b64encode(_file("stix-two-math.woff").read_bytes()).decode()
    source = f'url("data:font/woff;base64,{font}") format("woff")'
    return f'@font-face {{ font-family: "STIX Two Math"; src: {source}; }}\n'


def _tones() -> str:
    """The colours of the verdicts; the template writes their names with a hyphen."""
    rules = (
        f".{verdict.replace(' ', '-')} {{ color: {tone}; }}" for verdict, tone in tones().items()
    )
    return "\n".join([*rules, ""])


def _template(name: str) -> str:
    return _file(name).read_text("utf-8")


def _file(name: str) -> Traversable:
    return resources.files("cwda.reporting").joinpath("template", name)
