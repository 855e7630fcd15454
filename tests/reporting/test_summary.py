"""The line of the summary on one condition: counts, and where the departure is largest."""

import dataclasses

import pytest

import cwda
from cwda.reporting import Report, Subject
from cwda.reporting.chapters.summary import summary
from tests.reporting.conftest import weights


@pytest.fixture(scope="module")
def one():
    net = cwda.load({f"c{i}.weight": weights(i, 16, 4, 3, 3) for i in range(4)}, name="net")
    return cwda.check(net, ["homogeneity"], device="cpu")


def line(result, effects, verdicts, note=""):
    """What is said of rows with these effects, over the margin, and verdicts."""
    rows = [
        dataclasses.replace(
            row, effect=effect * row.margin, verdict=verdict, note=note if "f" in verdict else ""
        )
        for row, effect, verdict in zip(result.rows, effects, verdicts, strict=True)
    ]
    report = Report([Subject(result.networks[0], rows)])
    *_, items = (block for block in summary.blocks(report) if hasattr(block, "items"))
    return "".join(run if isinstance(run, str) else run.text for run in items.items[0])


def test_the_largest_departure_is_in_a_layer_that_fails(one):
    text = line(one, [5, 2, 3, 0.1], ["inconclusive", "fails", "fails", "holds"])
    assert text == (
        "Homogeneity: 1 of 4 layers holds, 1 is inconclusive, 2 fail; the largest departure is in "
        "c2 (effect .375, 3.0 times the margin)."
    )


def test_a_departure_of_another_kind_is_named(one):
    text = line(one, [5, -2, 1, 0], ["inconclusive", "fails", "holds", "holds"], "less variable")
    assert "2 of 4 layers hold, 1 is inconclusive, 1 fails; the largest departure is in c1" in text
    assert "(less variable; effect -.250, -2.0 times the margin)" in text


def test_where_none_fails_that_is_said(one):
    text = line(one, [2, 3, 0, 0], ["inconclusive"] * 2 + ["holds"] * 2)
    assert text.endswith(
        "2 are inconclusive, none fails; the largest effect is in c1 (effect .375, 3.0 times the "
        "margin)."
    )
    assert line(one, [0, 0, 0, 0], ["holds"] * 4) == "Homogeneity: 4 of 4 layers hold, none fails."
