"""The report on a survey: the answer first, every chapter there, what failed with its reason."""

from __future__ import annotations

import re

import pytest

import cwda
from cwda.population import generality
from cwda.reporting import build, survey_report
from cwda.reporting.typesetting import html_bytes
from tests.helpers.small_surveys import survey

SURVEY = survey(families=3)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """What is handed to the typesetter."""
    documents = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.FORMATS, ".html", lambda document: documents.append(document) or b"")
        path = tmp_path_factory.mktemp("report") / "survey.html"
        survey_report(SURVEY, path, date="", command="cwda survey nets")
    return documents[0]


@pytest.fixture(scope="module")
def page(document):
    return text_of(html_bytes(document).decode())


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


def test_a_pdf_can_be_made(document):
    assert build.FORMATS[".pdf"](document).startswith(b"%PDF")


def test_bad_input_is_refused_before_the_work(tmp_path):
    with pytest.raises(cwda.CwdaError, match=r"survey\.doc"):
        survey_report(SURVEY, tmp_path / "survey.doc")
    with pytest.raises(cwda.CwdaError, match="a survey is needed"):
        survey_report(3, tmp_path / "survey.pdf")
