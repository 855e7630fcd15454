"""The documentation site as built: formulas, pictures, notebooks, and the width of its pages."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from tests.browser import PHONE, needs_browser, too_wide

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ANY = NOTEBOOKS[0].stem


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder of the built site: the one that `run-tests` built, or one built here."""
    if "CWDA_SITE" in os.environ:
        return Path(os.environ["CWDA_SITE"])
    folder = tmp_path_factory.mktemp("site")
    build = ["build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(
        [sys.executable, "-m", "mkdocs", *build], cwd=ROOT, env=environment, check=True, timeout=300
    )
    return folder


def hook(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def content(page: Path) -> str:
    """The page's own part, without code."""
    found = re.search(r"<article.*</article>", page.read_text(), re.DOTALL)[0]
    return re.sub(r"<(pre|code)\b.*?</\1>", "", found, flags=re.DOTALL)


@pytest.mark.parametrize(
    "page", ["", "theory", "conditions", "criteria", "applicability", "figures", "faq"]
)
def test_formulas_are_typeset(site, page):
    found = content(site / page / "index.html")
    assert "<math" in found
    assert not re.search(r"\$|\\[a-zA-Z(\[]|arithmatex", found)


def test_no_formula_is_left_in_plain_type():
    """Outside code, indices and powers are written for typesetting."""
    for page in ("index", "theory", "conditions", "criteria", "applicability"):
        text = (DOCS / f"{page}.md").read_text()
        text = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", "", text, flags=re.S)
        assert re.findall(r"\S*(?:[\w|]_[\w{]|\w\^|[√∑ΣΦ²³ᵀ])\S*", text) == []


def test_the_font_of_the_site_has_every_sign_of_the_formulas(site):
    with TTFont(site / "stix-two-math.woff") as font:
        drawn = font.getBestCmap()
        assert "MATH" in font  # measures for roots and fractions, and tall brackets
    signs = set()
    for page in site.rglob("index.html"):
        for formula in re.findall(r"<math.*?</math>", page.read_text(), re.DOTALL):
            signs |= {*html.unescape(re.sub("<[^>]*>", "", formula))}
    assert len(signs) > 50
    assert {sign for sign in signs if not sign.isspace() and ord(sign) not in drawn} == set()


@pytest.mark.parametrize("latex", [r"\unheard x", r"\frac{1", "x}", "a & b", "x_"])
def test_what_is_no_formula_stops_the_build(latex):
    with pytest.raises(ValueError, match=re.escape(latex)):
        hook("formulas").mathml(latex)


@pytest.mark.parametrize(
    ("latex", "typeset"),
    [
        (r"\log s", '<mi>log</mi><mspace width="0.167em" /><mi>s</mi>'),
        (r"2 \ln p", '<mn>2</mn><mspace width="0.167em" /><mi>ln</mi>'),
        (r"\log(s)", '<mi>log</mi><mo stretchy="false">(</mo>'),
        (r"\operatorname{E} q", '<mi mathvariant="normal">E</mi>'),
        (r"\Sigma \sim \sigma", '<mi mathvariant="normal">Σ</mi><mo>∼</mo><mi>σ</mi>'),
        ("N'", '<mi>N</mi><mo lspace="0" rspace="0">′</mo>'),
        ("x'_i", '<msub><mi>x</mi><mi>i</mi></msub><mo lspace="0" rspace="0">′</mo>'),
        ("n < d", "<mi>n</mi><mo>&#x0003C;</mo><mi>d</mi>"),
    ],
)
def test_formulas_look_as_tex_would_set_them(latex, typeset):
    assert typeset in hook("formulas").mathml(latex)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_pages_with_their_outputs(site, notebook):
    page = (site / "notebooks" / notebook.stem / "index.html").read_text()
    assert f'href="../{notebook.name}"' in page
    assert (site / "notebooks" / notebook.name).read_bytes() == notebook.read_bytes()
    outputs = [
        output.get("data", {"stream": ""})
        for cell in json.loads(notebook.read_text())["cells"]
        for output in cell.get("outputs", [])
    ]
    pictures = [output for output in outputs if "image/png" in output]
    assert len(pictures) == len(re.findall(rf'src="\.\./{notebook.stem}-\d+\.png"', page))
    assert len([*site.glob(f"notebooks/{notebook.stem}-*.png")]) == len(pictures)
    assert page.count('class="output"') == sum(
        "text/html" in output and "image/png" not in output for output in outputs
    )


def test_code_of_a_notebook_cannot_end_its_block():
    text = hook("notebooks").fenced("print('''\n```\n''')", "python")
    assert text.splitlines()[0] == "````python"


def test_the_reference_shows_nothing_private_and_no_module(site):
    page = (site / "reference" / "python" / "index.html").read_text()
    names = re.findall(r'<h[2-6] id="(cwda\.[^"]+)"', page)
    assert len(names) > 80
    assert [name for name in names if re.search(r"\._", name)] == []
    assert "doc-module" not in page


def test_pages_ask_nothing_of_other_hosts(site):
    for page in site.rglob("index.html"):
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", page.read_text())
        assert re.findall(r'\b(?:src|href)="(?:https?:)?//[^"]*"', " ".join(tags)) == []


@needs_browser
def test_no_page_scrolls_sideways_and_no_signature_is_cut(site, tmp_path):
    names = [".", "theory", "conditions", "figures", "reference/python", f"notebooks/{ANY}"]
    pages = [site / name / "index.html" for name in names]
    assert too_wide(pages, PHONE, tmp_path) == {}
    assert too_wide(pages[-2:], 1280, tmp_path) == {}
