"""The calibration that comes with the package supports what the documentation claims."""

from pathlib import Path

import pandas as pd
import pytest

from cwda.calibration import PROCEDURES, calibrate, published, to_markdown
from cwda.calibration.designs import Size
from cwda.calibration.result import SUMMARY, published_summary
from cwda.conditions import CONDITIONS

PAGE = Path(__file__).parents[2] / "docs" / "calibration-tables.md"


@pytest.fixture(scope="module")
def result():
    return published()


def test_the_page_is_made_from_the_results(result):
    assert PAGE.read_text(encoding="utf-8") == to_markdown(result)


def test_the_summary_of_the_report_is_that_of_the_results(result):
    pd.testing.assert_frame_equal(published_summary(), result.summary(), rtol=0, atol=0)
    assert SUMMARY.read_text() == result.summary().to_csv(index=False)


def test_errors_are_kept_within_the_domains(result):
    """Of cells whose error is exactly the nominal one, one in forty is too liberal by chance."""
    judged = result.table.query("domain == 'inside' and nominal.notna()")
    liberal = judged["verdict"].eq("too liberal").groupby([judged["procedure"], judged["measure"]])
    assert (liberal.mean() <= 1 / 40).all(), liberal.mean().nlargest(5)
    assert set(result.summary()["procedure"]) >= {"mean", "epsilon", "Henze-Zirkler"}


def test_every_procedure_was_measured(result):
    """A condition that has just been added may wait for the next run of the study."""
    measured = {row.procedure for row in result}
    assert measured <= set(PROCEDURES)
    assert set(PROCEDURES) - measured <= set(CONDITIONS)


def test_the_results_are_repeatable(result):
    """The first replicates of a case, drawn again, stay within the counts of the whole."""
    size, design = Size(16, 16, 9), "all but epsilon"
    again = calibrate(["epsilon"], designs=design, sizes=[size], replicates=20, seed=result.seed)
    whole = {
        row.measure: row
        for row in result
        if (row.procedure, row.design, row.n_filters) == ("epsilon", design, 16)
        and row.channels == 16
    }
    assert len(again) == 6
    for few in again:
        many = whole[few.measure]
        assert few.replicates <= many.replicates
        assert round(few.rate * few.replicates) <= round(many.rate * many.replicates)
        missed, all_missed = ((1 - row.rate) * row.replicates for row in (few, many))
        assert round(missed) <= round(all_missed)
