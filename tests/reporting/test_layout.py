"""How pages are filled: the answer comes first, and none is left half empty."""

import io
import re
from dataclasses import replace

import numpy as np
import pypdf
import pytest
from matplotlib.figure import Figure
from PIL import Image

import cwda
from cwda.reporting import Column, Paragraph, Table, picture
from cwda.reporting.chapters.conditions.condition import conditions
from cwda.reporting.chapters.conditions.covariance import covariance
from cwda.reporting.chapters.conditions.whole import whole as whole_network
from cwda.reporting.chapters.several.networks import side_by_side
from cwda.reporting.document import Document
from cwda.reporting.typesetting import pdf_bytes, png_pages
from tests.helpers.pdf import page_texts
from tests.reporting.conftest import document_of, weights

#: Share of a page without header and footer, of A4 and letter, above and below the text.
TOP, BOTTOM = 0.07, 0.935


def net(name, layers=1, seed=0):
    found = {f"stage{i}.conv.weight": weights(seed + i, 16, 4, 3, 3) for i in range(layers)}
    return cwda.load(found, name=name)


class Printed:
    """A document as PDF, and what its pages look like."""

    def __init__(self, document):
        self.document = document
        pdf = pdf_bytes(document)
        self.reader, self.pages = pypdf.PdfReader(io.BytesIO(pdf)), page_texts(pdf)

    def fills(self):
        """For each page the share of its height that is used, from its picture."""
        found = []
        for page in png_pages(self.document, ppi=24):
            ink = np.array(Image.open(io.BytesIO(page)).convert("L")) < 235
            height = len(ink)
            rows = np.nonzero(ink[: int(BOTTOM * height)].any(axis=1))[0]
            found.append((rows.max() / height - TOP) / (BOTTOM - TOP))
        assert len(found) == len(self.pages)
        return found

    def begins(self):
        """The pages, from 0, at which chapters begin."""
        entries = [entry for entry in self.reader.outline if not isinstance(entry, list)]
        return {self.reader.get_destination_page_number(entry) for entry in entries}


@pytest.fixture
def printed(tmp_path):
    return lambda source, **options: Printed(document_of(source, tmp_path / "it.pdf", **options))


@pytest.fixture(scope="module")
def whole(result, document_made_once):
    return Printed(document_made_once("layout", result, textbook=True))


def squeezed(text):
    return re.sub(r"\s+", "", text)


def half_empty(report):
    """Pages under half full that are not the last of a chapter."""
    last = {page - 1 for page in report.begins()} | {len(report.pages) - 1}
    return {
        page: round(fill, 2)
        for page, fill in enumerate(report.fills())
        if fill < 0.5 and page not in last and page > 1  # the answer and the contents stand alone
    }


@pytest.mark.parametrize("paper", ["a4", "us-letter"])
def test_no_page_is_half_empty(whole, paper):
    report = whole if paper == "a4" else Printed(replace(whole.document, paper=paper))
    assert half_empty(report) == {}
    assert len(report.pages) < 24


@pytest.mark.parametrize("layers", [1, 40])
def test_no_page_is_half_empty_with_few_or_many_layers(printed, layers):
    checked = cwda.check(net("one", layers), ["variance", "mean", "homogeneity"], device="cpu")
    report = printed(checked, chapters=[whole_network, conditions, covariance])
    assert half_empty(report) == {}
    assert any("All layers of" in page for page in report.pages) == (layers > 20)


def test_a_high_picture_has_a_page_and_leaves_the_one_before_full():
    high = picture(Figure((6, 9)), "High.", "nothing", high=True)
    blocks = [Paragraph("before"), high, *[Paragraph("after " * 40)] * 20]
    report = Printed(Document("title", "subtitle", [], blocks, contents=0, alone=False))
    assert report.pages[0].count("after") > 400
    assert "High." in report.pages[1]


@pytest.mark.parametrize("lines", [33, 36, 39])
def test_a_caption_stays_with_its_table(lines):
    rows = [[f"row{i}.", "1"] for i in range(60)]

    table = Table([Column("layer", "name"), Column("headed")], rows, "A long table.")
    blocks = [Paragraph("words")] * lines + [table]
    report = Printed(Document("title", "subtitle", [], blocks, contents=0))
    page = next(page for page in report.pages if "A long table." in page)
    assert page.index("A long table.") < page.index("headed") < page.index("row2.")


def test_every_caption_stays_with_its_table(whole):
    pages = list(map(squeezed, whole.pages))
    tables = [block for block in whole.document.blocks if isinstance(block, Table)]
    assert len(tables) > 15
    for place, table in enumerate(tables, 1):
        head = squeezed("".join(column.title for column in table.columns))
        label = f"Table{place}:"
        page = next(page for page in pages[2:] if label in page)
        assert head in page.partition(label)[2], table.caption


def test_the_first_page_has_the_answer_and_the_advice(result, whole):
    first = squeezed(whole.pages[0])
    places = [first.index(squeezed(text)) for text in result.network.verdicts[0].sentences]
    places += [first.index(words) for words in ("asawhole", "Whattodo", "Whatthisrestson")]
    assert places == sorted(places)
    assert "Contents" not in first
    assert "Contents" in whole.pages[1]


def test_the_summary_is_one_page(whole):
    page = squeezed(whole.pages[2])
    assert "1Summary" in page
    assert "Conditionsbylayerof" in page  # the caption of its last block


@pytest.mark.parametrize("number", [1, 3, 20])
def test_brief_is_two_pages(tmp_path, number):
    sources = [net(f"a-network-of-some-length-{i}", 1, 100 * i) for i in range(number)]
    checked = cwda.check(sources, ["mean", "homogeneity"], device="cpu")
    document = document_of(checked, tmp_path / "it.pdf", brief=True)
    for paper in ("a4", "us-letter"):
        report = Printed(replace(document, paper=paper))
        assert len(report.pages) <= 2
        assert "What to do" in report.pages[0]
        assert "Contents" not in report.pages[0]
        assert all(source.name in squeezed(" ".join(report.pages)) for source in sources)


def test_several_networks_begin_side_by_side(printed):
    sources = [net("first"), net("second"), net("third", 2, 50)]
    checked = cwda.check(sources, ["mean", "homogeneity"], device="cpu")
    report = printed(checked, chapters=[side_by_side])
    assert half_empty(report) == {}
    assert "What changes from first to third" in " ".join(" ".join(report.pages).split())
    first = report.pages[0]
    assert "of 3 networks" in first or "in all 3 networks" in first
    assert first.index("Each network as a whole") < first.index("Each network: verdict")
    for name in ("first", "second", "third"):
        assert first.count(name) >= 3
