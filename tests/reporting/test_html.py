"""The HTML report: one file, and what a browser makes of it."""

import html as entities
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from cwda.formatting import number

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


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
    assert "<math" in page


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
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
      const fits = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
      document.title = JSON.stringify({errors, up, down, images, fits});
    });</script></head>"""
    probed = tmp_path / "probed.html"
    probed.write_text(page.replace("</head>", probe, 1))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=500,900"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    run = subprocess.run(
        [BROWSER, *options, probed.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    title = re.search(r"<title>(.*?)</title>", run.stdout, re.DOTALL)[1]
    found = json.loads(entities.unescape(title))
    assert found["errors"] == []
    assert found["images"]
    assert found["fits"]  # no scrolling sideways on a narrow screen
    known = [float(cell) for cell in found["up"] if cell != "–"]
    assert known == sorted(known)
    assert [cell for cell in found["down"] if cell != "–"] == [
        cell for cell in reversed(found["up"]) if cell != "–"
    ]
