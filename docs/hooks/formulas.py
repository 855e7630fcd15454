"""Typeset the formulas: `$...$` and `$$...$$` become MathML when the site is built.

Browsers draw MathML themselves: no script runs and nothing is fetched from elsewhere.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

#: The font of the HTML report, which site.css names.
FONT = Path(__file__).resolve().parents[2] / "cwda/reporting/template/stix-two-math.woff"

#: What pymdownx.arithmatex makes of a formula in a line and of one on lines of its own; the first
#: with the bracket and the punctuation that no end of a line may take from it.
FORMULA = re.compile(
    r'(?P<before>\(?)<span class="arithmatex">\\\((?P<inline>.*?)\\\)</span>(?P<after>[,.;:)]*)'
    r'|<div class="arithmatex">\s*\\\[(?P<block>.*?)\\\]\s*</div>',
    re.DOTALL,
)

#: What latex2mathml writes, and what TeX would typeset: it takes some signs for letters, and gives
#: others the space of a relation.
CORRECTIONS = {
    "<mi>~</mi>": "<mo>∼</mo>",
    "<mi>;</mi>": '<mo separator="true" lspace="0" rspace="0.17em">;</mo>',
    "<mo>|</mo>": '<mo stretchy="false" lspace="0" rspace="0">|</mo>',
    "<mo>‖</mo>": '<mo stretchy="false" lspace="0" rspace="0">‖</mo>',
    "<mo>/</mo>": '<mo lspace="0" rspace="0">/</mo>',
}

#: A prime is raised by its font already and is no superscript.
PRIMED = re.compile(r"<msup>(<mi>.</mi>)<mi>′</mi></msup>")
PRIMED_INDEXED = re.compile(r"<msubsup>((?:<mi>.</mi>){2})<mi>′</mi></msubsup>")
PRIME = '<mo lspace="0" rspace="0">′</mo>'

#: Capital Greek letters stand upright, as do names of functions, of one letter too.
UPRIGHT = re.compile(r"<mi>([Α-Ω])</mi>|<mo>([A-Za-z])</mo>")
NAMES = re.compile(r"<mo>([A-Za-z]{2,})</mo>")

#: The name of a function has a space before it, after a factor, and behind it, unless a bracket or
#: an index follows.
FUNCTION = "<mi>(?:arcsin|artanh|exp|log|ln|sin|tr|Cov|Var)</mi>"
FACTOR = r'</mi>|</mn>|</msu[bp]>|</mfrac>|<mo stretchy="false">\)</mo>'
MULTIPLIED = re.compile(f"({FACTOR})(?={FUNCTION})")
APPLIED = re.compile(f"({FUNCTION})(?=<m(?!o|space))")
SPACE = '<mspace width="0.167em" />'


def on_files(files: Files, config: Any) -> Files:
    """Add the font."""
    files.append(File.generated(config, FONT.name, abs_src_path=str(FONT)))
    return files


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Replace each formula of a page; one that cannot be typeset stops the build."""

    def typeset(found: re.Match[str]) -> str:
        latex = html.unescape(found["inline"] or found["block"])
        try:
            made = mathml(latex.strip(), block=found["block"] is not None)
        except ValueError as error:
            raise PluginError(f"{page.file.src_uri}: {error}") from error
        before, after = found["before"] or "", found["after"] or ""
        if before or after:
            return f'<span class="tied">{before}{made}{after}</span>'
        return made

    return FORMULA.sub(typeset, content)


def mathml(latex: str, *, block: bool = False) -> str:
    """MathML of a formula in LaTeX."""
    try:
        made = convert(latex, display="block" if block else "inline")
    except Exception as error:
        raise ValueError(f"not a formula: ${latex}$ ({error or type(error).__name__})") from error
    made = re.sub("&#x([0-9A-Fa-f]+);", _character, made)
    for written, proper in CORRECTIONS.items():
        made = made.replace(written, proper)
    made = PRIMED.sub(rf"<mrow>\1{PRIME}</mrow>", made)
    made = PRIMED_INDEXED.sub(rf"<mrow><msub>\1</msub>{PRIME}</mrow>", made)
    made = UPRIGHT.sub(lambda found: f'<mi mathvariant="normal">{found[1] or found[2]}</mi>', made)
    made = NAMES.sub(r"<mi>\1</mi>", made)
    made = APPLIED.sub(rf"\1{SPACE}", MULTIPLIED.sub(rf"\1{SPACE}", made))
    if "\\" in made or "<mi>&" in made or not balanced(latex):
        raise ValueError(f"not a formula that latex2mathml can typeset: ${latex}$")
    return f'<div class="formula">{made}</div>' if block else made


def balanced(latex: str) -> bool:
    """Whether every brace is closed, which latex2mathml does not ask."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", latex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _character(found: re.Match[str]) -> str:
    """The character itself, shorter and found by a search, unless it means something in HTML."""
    character = chr(int(found[1], 16))
    return found[0] if character in "<>&" else character
