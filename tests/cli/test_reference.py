"""`cwda survey --report --reference`, and what `cwda-test --reference` says of a layer."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as cwda_group
from cwda.cli.main import cwda_test
from cwda.conditions import Reference
from cwda.population import make_reference
from tests.helpers.small_surveys import survey


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """A survey that is there already."""
    found = survey()
    found.statuses, found.folder = {"done": 12}, tmp_path
    found.title = lambda: "12 sources: 12 done"
    monkeypatch.setattr(cwda, "survey", lambda *sources, **options: found, raising=False)
    return found


def run(command, *arguments):
    return CliRunner().invoke(command, [str(each) for each in arguments], env={"COLUMNS": "80"})


def test_a_survey_writes_a_report_and_a_reference(measured, tmp_path):
    report, reference = tmp_path / "all.html", tmp_path / "reference.json"
    result = run(
        cwda_group, "survey", "nets", "--output", tmp_path, "--report", report,
        "--reference", reference,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "CWDA in 12 networks" in report.read_text()
    assert Reference.load(reference).surveyed == 12

    generator = torch.Generator().manual_seed(0)
    weight = 1 + torch.randn(16, 16, 3, 3, generator=generator)
    torch.save({"conv.weight": weight}, tmp_path / "net.pth")
    answer, paper = tmp_path / "answer.json", tmp_path / "net.html"
    result = run(
        cwda_test, tmp_path / "net.pth", "--conditions", "mean,epsilon", "--reference", reference,
        "--output", answer, "--report", paper,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "the median layer's effect is larger than in: mean 100 %" in told
    assert "of 2 effects are unusual; up to 0.1 would be by chance" in told
    rows = json.loads(answer.read_text())
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert [row["percentile"] for row in rows if row["condition"] == "mean"] == [1.0]
    assert "Layers among those of other networks" in paper.read_text()


@pytest.fixture
def nets(tmp_path):
    """Two networks of one layer, and a reference that they can be compared with."""
    generator = torch.Generator().manual_seed(0)
    for number in range(2):
        weight = number + torch.randn(16, 16, 3, 3, generator=generator)
        torch.save({"conv.weight": weight}, tmp_path / f"net-{number}.pth")
    reference = tmp_path / "reference.json"
    make_reference(survey()).save(reference)
    return tmp_path / "net-0.pth", tmp_path / "net-1.pth", reference


def test_a_report_compares_with_other_networks(nets, tmp_path):
    one, _, reference = nets
    paper = tmp_path / "net.html"
    result = run(cwda_group, "report", one, "--reference", reference, "--output", paper)
    assert result.exit_code == 0, result.output
    assert "Layers among those of other networks" in paper.read_text()


def test_a_contrast_says_how_unusual_the_layers_of_both_are(nets, tmp_path):
    *two, reference = nets
    result = run(
        cwda_group, "contrast", *two, "--conditions", "mean", "--reference", reference,
        "--output", tmp_path / "two.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "is larger than in: mean 0 % and 100 %" in " ".join(result.output.split())
    (row,) = pd.read_csv(tmp_path / "two.layers.csv").to_dict("records")
    checked = cwda.check(two, ["mean"], reference=reference).table["percentile"].tolist()
    assert [row["percentile_a"], row["percentile_b"]] == checked


def test_a_description_has_percentiles_with_a_reference_only(nets):
    one, _, reference = nets
    table = cwda.describe(one, reference=reference).table
    checked = cwda.check(one, reference=reference).table.set_index("condition")["percentile"]
    for name in ("mean", "epsilon"):
        assert table[f"percentile_{name}"].tolist() == [checked[name]]
    assert table["percentile_shape"].isna().all()  # which the reference does not know
    assert not any(name.startswith("percentile") for name in cwda.describe(one).table)


def test_unit_directions_have_no_reference(nets, tmp_path):
    one, _, reference = nets
    options = "--reference", reference, "--scale", "unit"
    for verb in (("report", one, "--output", tmp_path / "a.html"), ("contrast", one, one)):
        result = run(cwda_group, *verb, *options)
        assert result.exit_code == 1
        assert "a reference is about filters as they are" in result.output


def test_what_cannot_be_written_is_refused_before_the_work(measured, tmp_path):
    for option, name in (("--report", "all.doc"), ("--reference", "reference.csv")):
        result = run(cwda_group, "survey", "nets", "--output", tmp_path, option, tmp_path / name)
        assert result.exit_code == 1
        assert name in result.output


def test_a_file_that_is_no_reference_is_refused_in_one_line(tmp_path):
    path = tmp_path / "no.json"
    path.write_text("{}")
    result = run(cwda_test, "--reference", path)
    assert result.exit_code == 1
    assert "no Reference that cwda saved" in result.output
    assert "`cwda survey --reference FILE` writes one" in " ".join(result.output.split())
