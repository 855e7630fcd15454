"""The PDF as a reader of its text and structure finds it."""

import re

import pypdf
import pytest
import torch
import typst

import cwda
from cwda.errors import CwdaError
from cwda.formatting import number
from cwda.reporting import CHAPTERS, Chapter, Column, Paragraph, Report, Subject, Table
from cwda.reporting.chapters.applicability import applicability
from cwda.reporting.chapters.assumption import assumption
from cwda.reporting.chapters.conditions.condition import conditions
from cwda.reporting.chapters.conditions.covariance import covariance
from cwda.reporting.chapters.several.trajectory import trajectory
from cwda.reporting.chapters.summary import summary
from tests.helpers.pdf import missing_glyphs, page_texts
from tests.reporting.conftest import weights


@pytest.fixture(scope="module")
def reader(pdf):
    return pypdf.PdfReader(pdf)


@pytest.fixture(scope="module")
def pages(pdf):
    return page_texts(pdf)


@pytest.fixture(scope="module")
def text(pages):
    return "\n".join(pages)


def plain(text):
    """Without the places where a name may be broken."""
    return text.replace("\u200b", "")


def squeezed(text):
    return re.sub(r"\s+", "", text)


def test_every_row_of_the_table_is_in_the_report(result, text):
    tight = squeezed(text)
    for row in result:
        cells = [row.layer.replace("層", "\\u{5c64}"), row.n_filters, row.dim, number(row.effect)]
        cells += [number(row.effect_low), number(row.effect_high)]
        assert "".join(map(str, cells)) in tight, (row.layer, row.condition)


def test_chapters_are_in_the_outline_and_on_their_pages(reader, pages, result):
    report = Report([Subject(result.networks[0], result.rows)], detail=True)
    chapters = [one.title for chapter in CHAPTERS for one in chapter.of(report)]
    titles = {plain(entry.title): entry for entry in reader.outline if not isinstance(entry, list)}
    assert [title.split(" ", 1)[-1] for title in titles] == chapters
    assert len(chapters) > 12
    for title, entry in titles.items():
        page = pages[reader.get_destination_page_number(entry)]
        assert title.split(" ", 1)[-1] in page


def test_accessible_and_described(reader, network):
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"].startswith("en")
    assert reader.metadata.title == f"CWDA of {network.name}"
    assert "pdfuaid" in root["/Metadata"].get_data().decode()
    kinds, alternatives = [], []

    def walk(node):
        node = node.get_object()
        kinds.append(node.get("/S"))
        if node.get("/S") == "/Figure":
            alternatives.append(node.get("/Alt") or node.get("/ActualText"))
        kids = node.get("/K", [])
        for kid in kids if isinstance(kids, list) else [kids]:
            if isinstance(kid.get_object(), pypdf.generic.DictionaryObject) and "/S" in kid:
                walk(kid)

    for kid in root["/StructTreeRoot"]["/K"]:
        walk(kid)
    assert {"/Table", "/TH", "/TD", "/H1", "/L"} <= set(kinds)
    assert alternatives
    assert all(alternatives)


def test_no_glyph_is_missing(text, pdf):
    assert missing_glyphs(pdf.read_bytes()) == 0
    assert "\\u{5c64}" in text  # a character that no font has is spelt out
    assert missing_glyphs(typst.compile("a 層 b".encode(), ignore_system_fonts=True)) == 1


def test_the_title_block_says_what_was_tested(text, network, result):
    for words in ("4 convolutions", "2001-02-03", f"cwda {cwda.__version__}", "intervals at 90 %"):
        assert words in text


def test_several_networks_have_their_sentences_on_the_first_page(folder):
    nets = [cwda.load({"c.weight": weights(s, 16, 4, 3, 3)}, name=f"net{s}") for s in (1, 2)]
    path = cwda.report(nets, folder / "sentences.pdf", chapters=[summary], device="cpu")
    pages = page_texts(path)
    text = " ".join(pages)
    for net in nets:
        assert f"for {net.name}" in pages[0] or f"{net.name}:" in pages[0]
        assert f"{net.name} as a whole" not in pages[0]
        assert text.count(f"{net.name} as a whole") == 1


def test_equal_input_gives_equal_bytes(result, pdf, folder):
    """Though another process may have made the first."""
    again = cwda.report(result, folder / "again.pdf", date="2001-02-03", detail=True, device="cpu")
    assert again.read_bytes() == pdf.read_bytes()


def test_paper(result, folder):
    letter = cwda.report(result, folder / "letter.pdf", chapters=[assumption], paper="us-letter")
    page = pypdf.PdfReader(letter).pages[0].mediabox
    assert (round(page.width), round(page.height)) == (612, 792)


def test_a_network_without_a_single_verdict(folder):
    dead = cwda.load({"a.weight": torch.zeros(16, 4, 3, 3)}, name="dead")
    path = cwda.report(dead, folder / "dead.pdf", detail=True, device="cpu")
    text = " ".join(page_texts(path))
    assert "None of the conditions is applicable" in text
    assert "all weights are 0" in text


def test_each_reason_has_its_layers(folder):
    layers = {"a.weight": weights(0, 4, 3, 3, 3), "b.weight": torch.zeros(32, 16, 3, 3)}
    net = cwda.load({**layers, "c.weight": torch.zeros(16, 4, 3, 3)}, name="none")
    path = cwda.report(net, folder / "none.pdf", chapters=[summary], device="cpu")
    text = " ".join(" ".join(page_texts(path)).split())
    assert "mean, " in text.split("Not applicable: ")[1]
    assert "in 3 layers (all weights are 0 and 1 other reason)" in text


def test_a_report_of_unit_directions_says_so(folder):
    net = cwda.load({"c.weight": weights(0, 16, 4, 3, 3)}, name="net")
    path = cwda.report(net, folder / "unit.pdf", chapters=[summary], scale="unit", device="cpu")
    text = " ".join(" ".join(page_texts(path)).split())
    assert "Scale unit: each filter is divided by its root mean square" in text
    assert "homogeneity in 1 layer (all filters have the same scale" in text


@pytest.mark.parametrize(("rows", "shared"), [(24, False), (60, True)])
def test_short_tables_stay_on_one_page(result, folder, rows, shared):
    lines = [[f"row{i}.", "1"] for i in range(rows)]
    above = [Paragraph("words")] * 30
    table = Table([Column("layer", "name"), Column("n")], lines, "Short or long.")
    mine = Chapter("Mine", lambda report: [*above, table])
    path = cwda.report(result, folder / "rows.pdf", chapters=[mine], device="cpu")
    pages = page_texts(path)
    assert len({n for n, page in enumerate(pages) if re.search(r"row\d+\.", page)}) == 1 + shared


def test_several_networks_stand_side_by_side(folder):
    nets = [cwda.load({"c.weight": weights(s, 16, 4, 3, 3)}, name=f"net{s}") for s in (1, 2)]
    result = cwda.check(nets, ["mean", "homogeneity"], device="cpu")
    path = cwda.report(result, folder / "two.pdf", criteria=["l1", "l2"], device="cpu")
    pages = page_texts(path)
    together = next(page for page in pages if "Networks side by side" in page and "median" in page)
    assert "net1" in together
    assert "net2" in together


def test_trajectory_orders_checkpoints_by_epoch(folder):
    nets = [
        cwda.load({"c.weight": weights(e, 16, 4, 3, 3)}, name=f"run-epoch-{e}") for e in (0, 10, 2)
    ]
    chapters = [summary, trajectory]
    path = cwda.report(nets, folder / "run.pdf", chapters=chapters, trajectory=True, device="cpu")
    text = " ".join(page_texts(path))
    assert "Along the training" in text
    assert "run-epoch-10 has 1 convolution" in text  # the chapters are about the last one


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("net.doc", {}, "unknown format"),
        ("nowhere/net.pdf", {}, "does not exist"),
        ("net.pdf", {"paper": "a3"}, "unknown paper 'a3'"),
        ("net.pdf", {"trajectory": True}, "no epoch in the name"),
    ],
)
def test_mistakes_are_told(folder, path, options, words):
    net = cwda.load({"c.weight": weights(0, 16, 4, 3, 3)}, name="net")
    with pytest.raises(CwdaError, match=words):
        cwda.report(net, folder / path, device="cpu", **options)


def test_the_path_is_checked_before_the_work(folder, monkeypatch):
    monkeypatch.setattr("cwda.reporting.build.check", lambda *a, **k: pytest.fail("worked first"))
    net = cwda.load({"c.weight": weights(0, 16, 4, 3, 3)})
    with pytest.raises(CwdaError, match="does not exist"):
        cwda.report(net, folder / "nowhere" / "net.pdf")


def test_more_layers_than_a_page_has_lines(folder):
    """Tables go on over pages, and figures name every second layer."""
    many = {f"block{i}.conv.weight": weights(i, 8, 2, 1, 1) for i in range(70)}
    path = cwda.report(
        cwda.load(many, name="many"),
        folder / "many.pdf",
        chapters=[conditions, covariance, applicability],  # those with a table of all layers
        device="cpu",
    )
    text = squeezed(" ".join(page_texts(path)))
    assert all(text.count(f"block{i}.conv") >= 8 for i in range(70))
    assert path.stat().st_size < 3_000_000
