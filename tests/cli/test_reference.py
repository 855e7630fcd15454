"""`cwda survey --report --reference`, and what `cwda-test --reference` says of a layer."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as cwda_group
from cwda.cli.main import cwda_test
from cwda.conditions import Reference
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
    assert "unusual mean, larger than in 95 % or more: conv (than in 100 % of 3x3, 1 to 16" in told
    rows = json.loads(answer.read_text())
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert [row["percentile"] for row in rows if row["condition"] == "mean"] == [1.0]
    assert "Compared with other networks" in paper.read_text()


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
    assert "not an answer that cwda saved" in result.output
