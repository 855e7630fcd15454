"""Networks among those of a survey: the numbers, what is left out, and what is said of it."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pypdf
import pytest
import torch
from click.testing import CliRunner
from matplotlib.colors import to_rgb
from scipy import stats

import cwda
from cwda import figures
from cwda.cli.main import cwda as cwda_group
from cwda.conditions import CheckResult
from cwda.errors import CwdaError
from cwda.population.others import Others, network_effects, place
from cwda.reporting import Items, Note, Paragraph, Picture, Report, Subject, Table, build
from cwda.reporting.chapters.surveyed.among import Among
from cwda.reporting.chapters.surveyed.other_networks import other_networks
from cwda.surveys.settings import settings, versions
from cwda.surveys.store import Store, as_part
from cwda.surveys.tables import NETWORKS, NetworkRecord
from cwda.surveys.workers.measure import fingerprint, measure
from tests.helpers.pdf import page_texts
from tests.helpers.small_surveys import survey
from tests.reporting.conftest import document_of
from tests.reporting.test_layout import Printed, half_empty, squeezed

CONDITIONS = ["mean", "epsilon", "distinctness"]


def state(seed, layers=2):
    draws = np.random.default_rng(seed)
    return {
        f"stage{i}.conv.weight": torch.from_numpy(0.1 * seed + draws.normal(size=(16, 4, 3, 3)))
        for i in range(layers)
    }


def put(store, network, family, status="done"):
    """Measure a network in this process, and keep it as a worker's answer is kept."""
    parts, verdict, sentence = measure(network, 0.9)
    record = NetworkRecord(
        source=f"{network.name}.pth", name=network.name, hash=fingerprint(network), status=status,
        family=family, n_layers=len(network), n_weights=network.n_weights, verdict=verdict,
        sentence=sentence, sha256=network.provenance.sha256 or "", stamp="", finished="",
        **versions(),
    )  # fmt: skip
    row = as_part(NETWORKS, NETWORKS.cells([record], record.hash))
    store.put(record.hash, {**parts, NETWORKS.name: row})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A survey of three networks, as `cwda survey` writes it; one of them is a file."""
    folder = tmp_path_factory.mktemp("surveyed")
    torch.save(state(0), folder / "mine.pth")
    store = Store(folder / "survey")
    store.begin(settings(0.9))
    put(store, cwda.load(folder / "mine.pth"), "ours")
    put(store, cwda.load(state(1), name="sister"), "ours")
    put(store, cwda.load(state(2), name="stranger"), "theirs")
    return folder


@pytest.fixture(scope="module")
def mine(folder):
    return cwda.check(folder / "mine.pth", device="cpu")


@cache
def subjects_of(result):
    """Its networks, whose rank correlations are computed once."""
    return [
        Subject(
            network, [row for row in result if row.network == network.name], "cpu", result.level
        )
        for network in result.networks
    ]


def report_of(result, surveyed, **options):
    """What the chapter is made of."""
    return Report(subjects_of(result), survey=surveyed, **options)


def blocks_of(result, surveyed, kind=None, **options):
    blocks = list(other_networks.blocks(report_of(result, surveyed, **options)))
    return blocks if kind is None else [block for block in blocks if isinstance(block, kind)]


def plain(text):
    parts = text if isinstance(text, list | tuple) else [text]
    return "".join(part if isinstance(part, str) else part.text for part in parts)


def told(blocks):
    """All sentences of some blocks."""
    found = []
    for block in blocks:
        if isinstance(block, Items):
            found += map(plain, block.items)
        elif isinstance(block, Paragraph | Note):
            found.append(plain(block.text))
    return "\n".join(found)


def column(table, title):
    return [row[[each.title for each in table.columns].index(title)] for row in table.rows]


# --- the numbers ---


def share_by_loops(hits, families, level=0.95):
    """Korn and Graubard's interval over families of the share of networks that are hits."""
    n, p = len(hits), sum(hits) / len(hits)
    variance = weights = 0.0
    for family in set(families):
        own = [hit for hit, each in zip(hits, families, strict=True) if each == family]
        variance += (sum(hit - p for hit in own) / n) ** 2
        weights += (len(own) / n) ** 2
    groups, effective = len(set(families)), 1 / weights
    variance *= groups / (groups - 1)
    trials = min(p * (1 - p) / variance, n) if 0 < p < 1 and variance > 1e-12 else effective
    q = (1 + level) / 2
    trials /= (stats.t.ppf(q, effective - 1) / stats.norm.ppf(q)) ** 2
    low = stats.beta.ppf(1 - q, p * trials, trials - p * trials + 1) if p else 0.0
    high = stats.beta.ppf(q, p * trials + 1, trials - p * trials) if p < 1 else 1.0
    return p, low, high


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_place_is_what_plain_loops_give(condition):
    rows = network_effects(survey(families=8))
    rows = rows[(rows["condition"] == condition) & ~rows["hash"].isin(["0-1", "0-2", "3-0"])]
    values, families = list(rows["value"]), list(rows["family"])
    value = sorted(values)[15] + 1e-9
    found = place(value, rows)
    assert found.networks == len(values) == 21
    assert found.smaller == sum(each < value for each in values)
    assert found.larger == sum(each > value for each in values)
    # the first value up to which a quarter, a half, three quarters of the networks lie
    assert found.quartiles == tuple(
        sorted(values)[math.ceil(q * 21) - 1] for q in (0.25, 0.5, 0.75)
    )
    expected = share_by_loops([each < value for each in values], families)
    assert (found.share.value, found.share.low, found.share.high) == pytest.approx(expected)


def test_the_tables_and_the_first_sentence_have_the_numbers(mine):
    surveyed = survey(families=8)
    effects, correlations = blocks_of(mine, surveyed, Table)
    rows = surveyed.network_conditions
    own = {row.condition: row.effect for row in mine.network}
    assert column(effects, "condition") == [*CONDITIONS, "all, in margins"]
    for line, name in enumerate(CONDITIONS):
        others = sorted(rows.loc[rows["condition"] == name, "effect"])
        smaller = sum(each < own[name] for each in others)
        assert column(effects, "larger than")[line].startswith(f"{100 * smaller / 24:.0f} % (")
        assert float(column(effects, "median")[line]) == pytest.approx(others[11], abs=6e-4)

    margins = dict(zip(rows["condition"], rows["margin"], strict=True))
    excess = statistics.median(own[name] / margins[name] for name in CONDITIONS)
    farther = 0
    for key in set(rows["hash"]):
        part = rows[rows["hash"] == key]
        farther += statistics.median(part["effect"] / part["margin"]) > excess
    first, *others = blocks_of(mine, surveyed, Paragraph)
    word = {0: "none is", 1: "1 is"}.get(farther, f"{farther} are")
    assert told([first]).startswith(
        f"Of 24 other networks (8 families) in the survey, {word} farther from the assumption "
        f"than mine: the median over its conditions of effect / margin is "
    )
    worst = rows.assign(fails=rows["verdict"] == "fails", holds=rows["verdict"] == "holds")
    fails = int(worst.groupby("hash")["fails"].any().sum())
    holds = int(worst.groupby("hash")["holds"].all().sum())
    assert (
        f"CWDA holds in {holds} of these networks, fails in {fails}, and cannot be decided in "
        f"{24 - holds - fails}." in told(others)
    )

    assert column(correlations, "coefficient") == ["measured", "predicted", "error"]
    pairs = surveyed.similarity
    for line, value in enumerate(("measured", "predicted")):
        medians = sorted(
            statistics.median(pairs.loc[pairs["hash"] == key, value]) for key in set(pairs["hash"])
        )
        assert float(column(correlations, "median")[line]) == pytest.approx(medians[11], abs=6e-4)
    errors = sorted(
        statistics.mean(abs(pairs.loc[pairs["hash"] == key, "predicted"] - measured))
        for key in set(pairs["hash"])
        for measured in [pairs.loc[pairs["hash"] == key, "measured"]]
    )
    assert float(column(correlations, "median")[2]) == pytest.approx(errors[11], abs=6e-4)


def test_what_a_report_computes_is_what_a_survey_keeps(folder, mine):
    """Else a network would be compared with others by another measure."""
    kept = cwda.read_survey(folder / "survey")
    (subject,) = report_of(mine, kept).all_subjects
    among = Among(kept, {"mine": frozenset()})
    digest = fingerprint(subject.network)
    rows = among.effects_of_others
    rows = rows[rows["hash"] == digest].set_index("condition")["value"]
    assert len(rows) == 8
    for name, value in rows.items():
        assert among.effects(subject)[name].value == pytest.approx(value, abs=1e-9)
    pairs = among.correlations_of_others
    pairs = pairs[pairs["hash"] == digest].set_index("pair")
    assert len(pairs) == 6
    for value in ("measured", "predicted", "error"):
        for pair, kept_value in pairs[value].items():
            found = among.correlations(subject, value)[pair].value
            assert found == pytest.approx(kept_value, abs=1e-9)


# --- what is compared ---


def test_the_same_network_is_left_out_whatever_it_is_called(folder, mine):
    kept = cwda.read_survey(folder / "survey")
    renamed = {f"other{i}.weight": value for i, value in enumerate(state(0).values())}
    again = cwda.check(cwda.load(renamed, name="again"), device="cpu")
    for result in (mine, again):
        name = result.networks[0].name
        blocks = blocks_of(result, kept)
        assert f"{name} is in the survey too, and left out of this comparison" in told(blocks)
        assert "1 other network of the same family is not." in told(blocks)
        assert told(blocks).startswith("Of 2 other networks (2 families) in the survey, ")
        (effects, _) = (block for block in blocks if isinstance(block, Table))
        assert set(column(effects, "networks")) == {"2"}
    stranger = cwda.check(cwda.load(state(7), name="unseen"), device="cpu")
    blocks = blocks_of(stranger, kept)
    assert "left out" not in told(blocks)
    assert told(blocks).startswith("Of 3 other networks")


def test_layers_of_a_file_are_known_by_the_file(folder, mine):
    kept = cwda.read_survey(folder / "survey")
    some = cwda.check(cwda.load(folder / "mine.pth").select("stage1*"), device="cpu")
    sentences = told(blocks_of(some, kept))
    assert "mine is in the survey too" in sentences
    assert "This report is about 1 convolution of mine, in which the survey has 2" in sentences

    mine.save(folder / "mine.json")
    saved = CheckResult.load(folder / "mine.json")
    sentences = told(blocks_of(saved, kept))
    assert "mine is in the survey too" in sentences
    assert "Rank correlations need the weights" in sentences
    unknown = replace(saved.networks[0], provenance=replace(mine.networks[0].provenance, sha256=""))
    sentences = told(blocks_of(replace(saved, networks=(unknown,)), kept))
    assert "the same network in the survey was not looked for: mine." in sentences


def test_a_survey_of_these_networks_alone(folder, mine):
    kept = cwda.read_survey(folder / "survey")
    alone = Others(kept, frozenset({*kept.networks["hash"]} - {fingerprint(mine.networks[0])}))
    sentences = told(blocks_of(mine, alone))
    assert sentences.startswith("The survey has no network but those of this report.")
    assert "mine is in the survey too" in sentences


def test_few_networks_are_counted_only(folder, mine):
    kept = cwda.read_survey(folder / "survey")
    blocks = blocks_of(mine, kept)
    assert "Quartiles and shares of fewer than 20 networks" in told(blocks)
    for table in (block for block in blocks if isinstance(block, Table)):
        assert "median" not in [each.title for each in table.columns]
        assert {cell.partition(" of ")[2] for cell in column(table, "larger than")} == {"2"}


@pytest.mark.parametrize("families", ["few", "unknown"])
def test_too_few_families_have_shares_without_an_interval(mine, families):
    surveyed = survey(families=8)
    names = surveyed.networks["family"]
    if families == "few":
        surveyed.networks["family"] = names.where(names < "family 4", "family 0")
        about = "(4 families)"
    else:
        surveyed.networks["family"] = names.where(names < "family 6", "")
        about = "(6 families, 6 without a family)"
    blocks = blocks_of(mine, surveyed)
    assert f"Of 24 other networks {about} in" in told(blocks)
    assert "Shares have no interval: that needs 5 families or more" in told(blocks)
    (effects, _) = (block for block in blocks if isinstance(block, Table))
    assert all(cell.endswith(" %") for cell in column(effects, "larger than"))
    assert "0 without a family" not in told(blocks)


def test_what_the_survey_did_otherwise_is_said(mine):
    surveyed = survey(families=8)
    assert told(blocks_of(mine, surveyed, Items)) == (
        "The survey has no effects of gaussianity, shape, variance, independence and homogeneity."
    )
    surveyed.settings = {"level": 0.95, "cwda": "0.0.9"}
    surveyed.network_conditions.loc[
        surveyed.network_conditions["condition"] == "epsilon", "margin"
    ] = 0.5
    sentences = told(blocks_of(mine, surveyed, Items))
    assert (
        "verdicts of the survey rest on 95 % intervals, those of this report on 90 %" in sentences
    )
    assert f"made by cwda 0.0.9, this report by {cwda.__version__}" in sentences
    assert "The survey has other margins of epsilon (.500, here .300)" in sentences
    surveyed.settings = {"level": 0.9, "cwda": f"{cwda.__version__}.dev3"}
    sentences = told(blocks_of(mine, surveyed, Items))
    assert "made by cwda" not in sentences
    assert "rest on" not in sentences


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Five networks and their report."""
    sources = [cwda.load(state(i), name=f"a-network-of-some-length-{i}") for i in range(5)]
    result = cwda.check(sources, CONDITIONS, device="cpu")
    path = tmp_path_factory.mktemp("five") / "it.pdf"
    options = {"survey": survey(families=8), "chapters": [other_networks]}
    return result, document_of(result, path, **options)


def test_several_networks_have_a_row_each_and_four_a_picture(five):
    result, document = five
    names = [network.name for network in result.networks]
    tables = [block for block in document.blocks if isinstance(block, Table)]
    assert len([block for block in document.blocks if isinstance(block, Picture)]) == 2
    assert len(tables) == 4
    for table in tables:
        assert column(table, "network") == [
            *names, "others, lower quartile", "others, median", "others, upper quartile",
            "others, networks",
        ]  # fmt: skip
    rows = survey(families=8).network_conditions
    means = sorted(rows.loc[rows["condition"] == "mean", "effect"])
    cells = column(tables[0], "mean")
    own = [row.effect for row in result.network if row.condition == "mean"]
    for cell, effect in zip(cells, own, strict=False):
        assert cell.endswith(f"({100 * sum(each < effect for each in means) / 24:.0f} %)")
    assert [float(cell) for cell in cells[5:8]] == pytest.approx(
        [means[5], means[11], means[17]], abs=6e-4
    )
    sentences = told(document.blocks)
    assert sentences.startswith("The survey has 24 other networks (8 families). CWDA holds in ")
    assert f"farther from the assumption than {names[4]}: " in sentences


def test_of_a_training_run_no_checkpoint_is_compared_with(folder):
    kept = cwda.read_survey(folder / "survey")
    run = [cwda.load(state(seed), name=name) for seed, name in ((0, "first"), (1, "last"))]
    result = cwda.check(run, ["mean", "epsilon"], device="cpu")
    sentences = told(blocks_of(result, kept, epochs=(0, 1)))
    assert sentences.startswith("Of 1 other network (one family) in the survey, ")
    assert "farther from the assumption than last" in sentences
    assert "first, last are in the survey too, and left out" in sentences


# --- the figure ---


def test_the_figure_marks_networks_at_their_margins_and_tells_them_apart_in_grey(mine):
    surveyed = survey(families=8)
    table = mine.network.table
    both = [table.assign(network=f"net {i}", effect=table["effect"] * (1 + i)) for i in range(4)]
    ax = figures.survey_places(surveyed, pd.concat(both))
    marks = [line for line in ax.lines if line.get_label().startswith("net ")]
    own = table.set_index("condition")
    for i, line in enumerate(marks):
        expected = [own["effect"][name] * (1 + i) / own["margin"][name] for name in CONDITIONS]
        assert list(line.get_xdata()) == pytest.approx(expected)
        rows = np.array(line.get_ydata())
        assert list(np.round(rows)) == [0, 1, 2]
        assert max(to_rgb(line.get_markeredgecolor())) < 0.2
    assert len({line.get_marker() for line in marks}) == 4
    assert "o" not in {line.get_marker() for line in marks}  # the median's
    medians = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(medians) == 3
    with pytest.raises(CwdaError, match="holds 5 networks; the figure tells 4 apart"):
        figures.survey_places(surveyed, pd.concat([*both, table]))
    few = figures.survey_places(survey(), mine)
    assert [line for line in few.lines if line.get_marker() == "o"] == []
    assert few.get_title(loc="left") == "mine (■) among 12 networks"


@pytest.mark.parametrize("number", [1, 2, 4])
def test_long_names_stay_within_the_figure(mine, number):
    table = mine.network.table
    names = [f"{i}-{'a-name-of-a-network-' * 6}{i}" for i in range(number)]
    ax = figures.survey_places(survey(), pd.concat([table.assign(network=name) for name in names]))
    ax.figure.draw_without_rendering()
    texts = ax.get_legend().get_texts() if number > 1 else [ax._left_title]
    assert len(texts) == number
    for text, name in zip(texts, names, strict=True):
        box = text.get_window_extent()
        assert text.get_text().startswith(name[:10])
        assert 0 < box.x0 < box.x1 < ax.figure.bbox.x1
        assert 0 < box.y0 < box.y1 < ax.figure.bbox.y1


def test_a_survey_without_these_conditions_has_a_figure_that_says_so(mine):
    ax = figures.survey_places(survey(), mine.network.table.query("condition == 'shape'"))
    assert ax.texts[0].get_text() == "The survey has none of these conditions."


# --- files ---


def run(*arguments):
    return CliRunner().invoke(cwda_group, ["report", *map(str, arguments)])


@pytest.fixture
def only_this_chapter(monkeypatch):
    monkeypatch.setitem(build.report.__kwdefaults__, "chapters", (other_networks,))


def test_a_command_writes_the_chapter_in_both_formats(folder, tmp_path, only_this_chapter):
    packed = cwda.read_survey(folder / "survey").pack(tmp_path / "packed").folder
    paths = tmp_path / "it.pdf", tmp_path / "it.html"
    outputs = [part for path in paths for part in ("--output", path)]
    result = run(folder / "mine.pth", "--survey", packed, *outputs)
    assert result.exit_code == 0, result.output
    pdf = pypdf.PdfReader(paths[0])
    assert [entry.title for entry in pdf.outline] == ["1 Among other networks"]
    printed = " ".join(" ".join(page_texts(paths[0])).split())
    page = paths[1].read_text()
    for text in (printed, page):
        assert "Of 2 other networks (2 families) in the survey" in text
    assert "Strips of 2 networks by condition, with 1 network of this report marked" in page


def test_a_packed_copy_says_the_same(folder, mine, tmp_path):
    kept = cwda.read_survey(folder / "survey")
    one, other = blocks_of(mine, kept), blocks_of(mine, kept.pack(tmp_path / "packed"))
    assert told(one) == told(other)
    assert [x for x in one if isinstance(x, Table)] == [x for x in other if isinstance(x, Table)]


@pytest.mark.parametrize("number", [1, 5])
def test_no_page_is_half_empty_and_captions_stay(mine, five, tmp_path, number):
    document = five[1]
    if number == 1:
        options = {"survey": survey(families=8), "chapters": [other_networks]}
        document = document_of(mine, tmp_path / "it.pdf", **options)
    report = Printed(document)
    assert half_empty(report) == {}
    pages = [squeezed(page) for page in report.pages]
    tables = [block for block in document.blocks if isinstance(block, Table)]
    assert len(tables) == (2 if number == 1 else 4)
    for table in tables:
        head = squeezed("".join(each.title for each in table.columns))
        caption = squeezed(plain(table.caption))[:60]
        assert any(head in page.partition(caption)[2] for page in pages), caption


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("nowhere", "nowhere: no such folder; cwda survey makes one"),
        ("notes.md", "notes.md: is a file, not the folder of a survey"),
        ("other", "other: holds no survey: survey.json is missing"),
        ("begun", "begun: no network of this survey was analysed: it is empty"),
        ("failed", "failed: no network of this survey was analysed: 1 source: 1 failed"),
    ],
)
def test_what_is_no_survey_is_one_line_before_the_work(tmp_path, monkeypatch, given, line):
    (tmp_path / "notes.md").touch()
    (tmp_path / "other").mkdir()
    for name in ("begun", "failed"):
        Store(tmp_path / name).begin(settings(0.9))
    lost = NetworkRecord(
        source="x.pth", name="x", status="failed", stamp="", finished="", **versions()
    )
    row = {"networks": as_part(NETWORKS, NETWORKS.cells([lost], ""))}
    Store(tmp_path / "failed").put("source-1", row)

    def work(*_, **__):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("cwda.cli.sources.Sources.load", work)
    monkeypatch.setattr(build, "check", work)
    output = tmp_path / "it.pdf"
    result = run("resnet20-cifar10", "--survey", tmp_path / given, "--output", output)
    assert (result.exit_code, result.stderr) == (1, f"error: {tmp_path / line}\n")
    with pytest.raises(CwdaError) as raised:
        cwda.report("resnet20-cifar10", output, survey=str(tmp_path / given))
    assert str(raised.value) == str(tmp_path / line)
    assert not output.exists()


def test_what_cannot_be_compared_is_refused(folder, mine, tmp_path):
    given = folder / "mine.pth", "--survey", folder / "survey", "--output", tmp_path / "it.pdf"
    result = run(*given, "--scale", "unit")
    assert result.exit_code == 1
    assert "a survey is about filters as they are; check with --scale 'raw'" in result.stderr
    result = run(*given, "--brief")
    assert result.exit_code == 2
    assert "--brief has no room for" in result.stderr
    with pytest.raises(CwdaError, match="a survey is needed, such as"):
        cwda.report(mine, tmp_path / "it.pdf", survey=3)
    unit = cwda.check(folder / "mine.pth", ["mean"], scale="unit", device="cpu")
    with pytest.raises(CwdaError, match="a survey is about filters as they are"):
        cwda.report(unit, tmp_path / "it.pdf", survey=survey())
