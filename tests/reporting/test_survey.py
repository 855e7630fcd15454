"""The report on a survey: the answer first, every chapter there, what failed with its reason."""

from __future__ import annotations

import re

import pytest

import cwda
from cwda.population import generality
from cwda.reporting import survey_report
from tests.helpers.small_surveys import survey

SURVEY = survey(families=3)


def text_of(path):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", path.read_text()))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "survey.html"
    return text_of(survey_report(SURVEY, path, date="", command="cwda survey nets"))


def test_the_answer_comes_first(page):
    first, _, rest = page.partition("Contents")
    assert generality(SURVEY)[:100] in first
    assert "CWDA in 9 networks" in first
    assert "cwda survey nets" in rest
    assert "Family by family" in rest


def test_nothing_is_left_out(page):
    assert "could not be computed" not in page
    for words in ("asinh", "mildest first", "By width", "l1 and l2", "The line is"):
        assert words in page, words


def test_what_failed_has_its_reason(page):
    assert "9 done, 1 duplicate, 1 failed" in page
    assert "not recognised as a checkpoint" in page
    assert "one filter" in page


def test_a_pdf_can_be_made(tmp_path):
    path = survey_report(SURVEY, tmp_path / "survey.pdf", date="")
    assert path.read_bytes().startswith(b"%PDF")


def test_bad_input_is_refused_before_the_work(tmp_path):
    with pytest.raises(cwda.CwdaError, match=r"survey\.doc"):
        survey_report(SURVEY, tmp_path / "survey.doc")
    with pytest.raises(cwda.CwdaError, match="a survey is needed"):
        survey_report(3, tmp_path / "survey.pdf")
