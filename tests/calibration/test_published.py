"""The study that comes with the package supports what the documentation claims."""

from pathlib import Path

import pytest

from cwda.calibration import PROCEDURES, calibrate, read_study, summary, table, to_markdown
from cwda.calibration.cells import Key
from cwda.calibration.designs import Size
from cwda.calibration.published import RESULTS

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"


@pytest.fixture(scope="module")
def study():
    return read_study(RESULTS)


def test_the_page_is_made_from_the_results(study):
    assert PAGE.read_text(encoding="utf-8") == to_markdown(study)


def test_no_test_is_miscalibrated_within_its_domain():
    tests = table().query("measure == 'test' and domain == 'inside'")
    assert not tests["verdict"].isin(["too liberal", "too conservative"]).any()
    assert set(summary()["procedure"]) >= {"mean", "epsilon", "Henze-Zirkler"}


def test_every_procedure_was_measured(study):
    assert {key.procedure for key in study.cells} == set(PROCEDURES)


def test_the_results_are_repeatable(study):
    """The first replicates of a cell, drawn again, stay within the counts of the whole."""
    size = Size(16, 3, 9)
    again = calibrate(["epsilon"], 20, designs="all but epsilon", sizes=[size], seed=study.seed)
    few = again.cells[Key("epsilon", "all but epsilon", size)]
    whole = study.cells[Key("epsilon", "all but epsilon", size)]
    assert whole.replicates >= 20
    for measure, (happened, defined) in few.counts.items():
        assert happened <= whole.counts[measure][0]
        assert defined - happened <= whole.counts[measure][1] - whole.counts[measure][0]
