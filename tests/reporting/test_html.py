"""The HTML report: one file, and what a browser makes of it."""

import base64
import html as entities
import io
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from fontTools.ttLib import TTFont

import cwda
from cwda.formatting import number
from tests.browser import PHONE, needs_browser, title_after_load, too_wide
from tests.reporting.conftest import weights


@pytest.fixture(scope="module")
def page(html):
    return html.read_text()


def test_it_needs_no_other_file(page, html):
    class Addresses(HTMLParser):
        def handle_starttag(self, tag, attributes):
            for name, value in attributes:
                if name == "src" or (name == "href" and tag == "link"):
                    assert value.startswith("data:"), value

    Addresses().feed(page)
    assert "@import" not in page
    assert html.stat().st_size < 3_000_000


def test_every_row_of_the_table_is_in_it(page, result):
    words = re.sub(r"<[^>]*>|\s|\u200b", "", page)
    words = entities.unescape(words)
    for row in result:
        cells = [row.layer.replace("層", "\\u{5c64}"), row.n_filters, row.dim, number(row.effect)]
        assert "".join(map(str, cells)) in words


def test_tables_have_heads_and_pictures_alternatives(page):
    assert page.count("<thead>") > 8
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", page))


def test_its_font_has_every_sign_of_the_equations(page):
    found = re.search(r"data:font/woff;base64,([^\"]+)", page)[1]
    with TTFont(io.BytesIO(base64.b64decode(found))) as font:
        drawn = font.getBestCmap()
        assert "MATH" in font
    formulas = "".join(re.findall(r"<math.*?</math>", page, re.DOTALL))
    signs = {*entities.unescape(re.sub("<[^>]*>", "", formulas))}
    assert len(signs) > 40
    assert not any(map(unicodedata.combining, signs))  # MathML places accents by itself
    # U+FE00 chooses a form of the letter before it.
    assert {sign for sign in signs - {"\ufe00"} if ord(sign) not in drawn and sign.strip()} == set()


@needs_browser
def test_a_browser_shows_it_and_sorts_its_tables(page, tmp_path):
    probe = """<script>
    const errors = [];
    addEventListener("error", (event) => errors.push(event.message));
    addEventListener("load", () => {
      const table = [...document.querySelectorAll("table")].find(
        (t) => t.tHead && t.tHead.rows[0].cells[3]?.textContent.startsWith("effect"));
      const shown = () => [...table.tBodies[0].rows].map((r) => r.cells[3].textContent);
      const button = table.tHead.rows[0].cells[3].querySelector("button");
      button.click(); const up = shown();
      button.click(); const down = shown();
      const images = [...document.images].every((image) => image.complete && image.naturalWidth);
      document.title = JSON.stringify({errors, up, down, images});
    });</script></head>"""
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("</head>", probe, 1))
    found = title_after_load(probed, tmp_path)
    assert found["errors"] == []
    assert found["images"]
    known = [float(cell) for cell in found["up"] if cell != "–"]
    assert known == sorted(known)
    assert [cell for cell in found["down"] if cell != "–"] == [
        cell for cell in reversed(found["up"]) if cell != "–"
    ]


@needs_browser
def test_no_page_scrolls_sideways_on_a_telephone(html, folder, tmp_path):
    """Wide tables and formulas scroll in boxes of their own; long names are broken."""
    name = "module.features.a_block_of_a_long_name.with_squeeze_excitation.convolution_bn_relu"
    layers = {f"{name}.{i}.weight": weights(i, 16, 4, 3, 3) for i in range(2)}
    layers[f"{'x' * 150}.weight"] = weights(2, 16, 4, 3, 3)
    long = cwda.report(
        cwda.load(layers, name="a_name_without_an_end_" * 6), folder / "long.html", detail=True
    )
    assert too_wide([html, long], PHONE, tmp_path) == {}
