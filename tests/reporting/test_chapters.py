"""Chapters are objects in a list: users add theirs, and one that fails loses itself only."""

import inspect
import re
from dataclasses import replace

import pypdf
import pytest
import torch
from matplotlib.figure import Figure

import cwda
from cwda.conditions import CheckResult
from cwda.errors import CwdaError
from cwda.experiment import Accuracy, ExperimentResult
from cwda.reporting import (
    CHAPTERS,
    Chapter,
    ChapterSeries,
    Column,
    Paragraph,
    Report,
    Subject,
    Table,
    picture,
)
from cwda.reporting.chapters.applicability import applicability
from cwda.reporting.chapters.assumption import assumption
from cwda.reporting.chapters.similarity import similarity
from tests.helpers.pdf import page_texts
from tests.helpers.small_surveys import survey
from tests.reporting.conftest import weights

DEFECTS = (
    CwdaError("too few filters"),
    ZeroDivisionError("division"),
    torch.OutOfMemoryError("full"),
)


def text_of(path):
    if path.suffix == ".html":
        return " ".join(path.read_text().split())
    return " ".join(" ".join(page_texts(path)).split())


def sizes(report):
    """How many filters each layer has."""
    figure = Figure()
    for subject in report.subjects:
        layers = [layer.name for layer in subject.network]
        filters = [layer.n_filters for layer in subject.network]
        figure.subplots().bar(layers, filters)
        yield Paragraph(f"{subject.network.name} has {sum(filters)} filters.")
        yield picture(figure, "Filters of each layer.", "A bar for each layer.")
        rows = [[name, str(number)] for name, number in zip(layers, filters, strict=True)]
        yield Table([Column("layer", "name"), Column("filters")], rows, "Filters.")


@pytest.mark.parametrize("suffix", [".pdf", ".html"])
def test_a_user_adds_a_chapter(result, folder, suffix):
    mine = Chapter("Sizes", sizes)
    never = Chapter("Never", sizes, when=lambda report: len(report.subjects) > 9)
    path = folder / f"mine{suffix}"
    cwda.report(result, path, chapters=[assumption, mine, never], device="cpu")
    text = text_of(path)
    assert "has 88 filters." in text
    assert "Figure 2: Filters of each layer." in text
    assert text.index("The assumption") < text.index("Sizes")
    assert "Never" not in text


def test_a_chapter_that_cannot_say_when_it_is_there_loses_itself_only(result, folder):
    def fails(report):
        return 1 / 0

    bad = [
        Chapter("Sometimes", sizes, when=fails),
        ChapterSeries("Several", each=fails),
        ChapterSeries("Numbers", each=lambda report: [5]),
        ChapterSeries("Empty", each=lambda report: [Chapter(5, 6)]),
    ]
    path = folder / "when.html"
    with pytest.warns(UserWarning, match="left out of the report"):
        cwda.report(result, path, chapters=[*bad, Chapter("Sizes", sizes)], device="cpu")
    text = text_of(path)
    assert "has 88 filters." in text
    assert text.count("This could not be computed: ZeroDivisionError: division by zero.") == 2
    assert "a chapter is a Chapter, not an object of type int" in text
    assert "a chapter is made of a title and a function" in text


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: type(defect).__name__)
def test_a_chapter_that_fails_loses_itself_only(folder, defect):
    def fails(report):
        yield Paragraph("the beginning")
        raise defect

    net = cwda.load({"c.weight": weights(0, 16, 4, 3, 3)}, name="net")
    mine = Chapter("Mine", fails)
    with pytest.warns(UserWarning, match=f"Mine: .*{defect}"):
        path = cwda.report(net, folder / "fails.pdf", chapters=[mine, assumption], device="cpu")
    assert f"{defect}." in text_of(path).split("could not be computed")[1]
    assert "As a whole this cannot be tested" in text_of(path)


def test_a_network_that_fails_loses_its_section_only(folder, monkeypatch):
    from cwda import comparison

    works = comparison.applicability

    def fails_once(network, criteria, **options):
        if network.name == "net1":
            raise CwdaError("no memory")
        return works(network, criteria, **options)

    monkeypatch.setattr(comparison, "applicability", fails_once)
    nets = [cwda.load({"c.weight": weights(s, 16, 4, 3, 3)}, name=f"net{s}") for s in (1, 2)]
    with pytest.warns(UserWarning, match="net1: no memory"):
        path = cwda.report(nets, folder / "one.pdf", chapters=[applicability], device="cpu")
    assert "could not be computed: no memory." in text_of(path)
    assert "Dispersion of the scores in net2" in text_of(path)


@pytest.mark.parametrize("block", ["words", None, 3])
def test_what_is_not_a_block_is_named(result, folder, block):
    mine = Chapter("Mine", lambda report: [block])
    with pytest.warns(UserWarning, match=f"such as Paragraph, not .*{type(block).__name__}"):
        cwda.report(result, folder / "odd.html", chapters=[mine])


@pytest.mark.parametrize("row", [["a"], ["a", "b", "c"], ["a", 3]])
def test_a_row_has_one_text_per_column(row):
    with pytest.raises(CwdaError, match="one text per column"):
        Table([Column("layer", "name"), Column("effect")], [row], "Effects.")


@pytest.mark.parametrize("chapters", [sizes, ["Summary"], [sizes], 3])
def test_only_chapters_are_chapters(result, folder, chapters):
    with pytest.raises(CwdaError, match=r"cwda\.reporting\.Chapter"):
        cwda.report(result, folder / "odd.pdf", chapters=chapters)


def test_a_formula_that_cannot_be_typeset_is_one_line(result, folder):
    def chapter(title, formula):
        return Chapter(title, lambda report: [cwda.reporting.Equation(formula, "a formula")])

    chapters = [chapter("Right", "x^2"), chapter("Mine", "frac("), chapter("Last", "y")]
    for suffix in ("pdf", "html"):
        with pytest.raises(CwdaError, match="cannot be typeset: unclosed") as raised:
            cwda.report(result, folder / f"odd.{suffix}", chapters=chapters)
        assert str(raised.value).endswith("; check the equation of the chapter 'Mine'")


def test_the_help_of_a_report_names_its_chapters_in_short():
    assert repr(Chapter("Mine", lambda report: [])) == "Chapter('Mine')"
    assert len(str(inspect.signature(cwda.report))) < 1500
    assert "<function" not in str(inspect.signature(cwda.report))


@pytest.fixture(scope="module")
def experiment(result):
    """One network, pruned by two criteria at the ratio that is advised on."""
    common = {"network": result.networks[0].name, "ratio": 0.5, "accuracy_se": 0.3, "images": 1000}
    common |= {"filters_pruned": 40, "filters": 80, "parameters": 1, "flops": 1, "epochs": 1}
    common |= {"loss": 1.0, "seconds": 1.0, "reason": ""}
    rows = [
        Accuracy(
            strategy="none",
            criterion="none",
            seed=0,
            stage="unpruned",
            accuracy=93,
            **(common | {"ratio": 0.0}),
        )
    ]
    for criterion, accuracy in (("l1", 80), ("l2", 82.5), ("random", 60)):
        for seed in range(3):
            cell = {"strategy": "layerwise", "criterion": criterion, "seed": seed, **common}
            rows.append(Accuracy(stage="pruned", accuracy=accuracy + seed, **cell))
    return ExperimentResult(tuple(rows), result.networks, level=0.95, pair_rows=())


def test_an_experiment_has_its_chapter(result, experiment, folder):
    path = folder / "experiment.html"
    chapters = [each for each in CHAPTERS if each.title == "Experiment"]
    cwda.report(result, path, chapters=chapters, experiments=[experiment], device="cpu")
    text = re.sub(r"<[^>]*>", " ", text_of(path))
    assert "83.50 82.50 to 84.50 3" in " ".join(text.split())
    assert "What following the advice cost" in text
    with pytest.raises(CwdaError, match="run_experiment"):
        cwda.report(result, path, experiments=[3])


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
def test_every_chapter_can_be_written(result, experiment, chapter):
    placed = [replace(row, percentile=0.9, comparable="3x3, 41 networks") for row in result.rows]
    first = Subject(result.networks[0], placed)
    second = Subject(result.networks[0].select("*"), placed)
    options = {"textbook": True, "experiments": [experiment], "survey": survey()}
    side = Report([first, second], detail=True, **options)
    training = Report(side.all_subjects, epochs=(0, 1), textbook=True)
    written = [one.write(each) for each in (side, training) for one in chapter.of(each)]
    assert written
    assert all(len(blocks) > 1 for blocks in written)


def test_the_last_checkpoint_is_what_chapters_are_about(result):
    subjects = [Subject(network, result.rows) for network in result.networks * 3]
    report = Report(subjects, epochs=(0, 10, 2))
    assert report.subjects == [subjects[1]]
    assert Report(subjects).subjects == subjects


def test_a_saved_answer_has_a_report_of_what_it_holds(result, folder):
    result.save(folder / "answer.json")
    saved = CheckResult.load(folder / "answer.json")
    path = cwda.report(saved, folder / "saved.pdf", detail=True, device="cpu")
    reader, text = pypdf.PdfReader(path), text_of(path)
    assert text.count("which does not hold the weights that this needs") == 4
    assert "could not be computed" not in text
    assert "Gaussianity of net *1*: effect with interval" in text
    assert len(reader.pages) > 10


def test_similarity_needs_no_more_than_the_network(folder):
    net = cwda.load({"c.weight": weights(0, 16, 4, 3, 3)}, name="net")
    path = cwda.report(net, folder / "similar.html", chapters=[similarity], device="cpu")
    assert "Similarity of pruning criteria" in text_of(path)


def test_any_figure_can_be_a_picture():
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    for drawn in (figure, left, right.subplots(), left.subplots(1, 2)):
        assert picture(drawn, "caption", "alt").svg.startswith(b"<?xml")
    for other in (None, [], "a.png"):
        with pytest.raises(CwdaError, match="Axes or a Figure"):
            picture(other, "caption", "alt")


def test_applicability_is_about_the_criteria_and_images_that_were_given():
    model = cwda.load_model("resnet20-cifar10")
    network = cwda.load(model).select("layer3.2.*")
    images = torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    names = [layer.name for layer in network]
    data = cwda.scoring.collect(model, "activations", layers=names, data=images, batch_size=6)
    subject = Subject(network, (), device="cpu", criteria=("apoz", "l1"), collected=data)
    blocks = applicability.write(Report([subject]))
    [table] = [block for block in blocks if isinstance(block, Table)]
    assert [row[1] for row in table.rows] == ["apoz", "l1"] * 2
    assert all(row[7].endswith("%") for row in table.rows)
    assert any("of the l1 scores" in str(getattr(block, "caption", "")) for block in blocks)
