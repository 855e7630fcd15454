"""The line of the summary on one condition: counts, and where the departure is largest."""

import dataclasses

import pytest
import torch

import cwda
from cwda.reporting import Report, Subject, Table
from cwda.reporting.chapters.front import front_page
from cwda.reporting.chapters.summary import summary
from tests.reporting.conftest import weights


@pytest.fixture(scope="module")
def one():
    net = cwda.load({f"c{i}.weight": weights(i, 16, 4, 3, 3) for i in range(4)}, name="net")
    return cwda.check(net, ["homogeneity"], device="cpu")


def blocks(result, effects, verdicts, note=""):
    """What is said of rows with these effects, over the margin, and verdicts."""
    rows = [
        dataclasses.replace(
            row, effect=effect * row.margin, verdict=verdict, note=note if "f" in verdict else ""
        )
        for row, effect, verdict in zip(result.rows, effects, verdicts, strict=True)
    ]
    return summary.blocks(Report([Subject(result.networks[0], rows)]))


def line(result, *args):
    """The end of the table's line: layers that hold, expected, open, fail; the largest effect."""
    table = next(block for block in blocks(result, *args) if isinstance(block, Table))
    return table.rows[0][-6:]


def test_the_largest_departure_is_in_a_layer_that_fails(one):
    hold, _, *rest = line(one, [5, 2, 3, 0.1], ["inconclusive", "fails", "fails", "holds"])
    assert [hold, *rest] == ["1 of 4", "1", "2", "c2", "3.0 ×"]


def test_a_departure_of_another_kind_is_named(one):
    found = blocks(one, [5, -2, 1, 0], ["inconclusive", "fails", "holds", "holds"], "less variable")
    table = next(block for block in found if isinstance(block, Table))
    assert table.rows[0][-2:] == ["c1", "-2.0 ×"]
    kinds = found[found.index(table) + 1].text
    words = "".join(run if isinstance(run, str) else run.text for run in kinds)
    assert words == "Kind of the largest departure: homogeneity in c1: less variable."


def test_where_none_fails_the_largest_effect_is_named(one):
    found = line(one, [2, 3, 0, 0], ["inconclusive"] * 2 + ["holds"] * 2)
    assert found[-3:] == ["0", "c1", "3.0 ×"]
    assert line(one, [0, 0, 0, 0], ["holds"] * 4)[-2:] == ["–", "–"]


def test_the_box_has_the_verdict_of_the_network(one):
    box, *_ = front_page(Report([Subject(one.networks[0], one.rows)]))
    verdict = one.network.verdicts[0]
    assert box.tone == verdict.verdict == "holds"
    assert box.title == "CWDA holds within the margins"
    assert box.paragraphs[0].text == verdict.sentences[0]


def test_the_worst_network_colours_the_box_of_several(one):
    scales = torch.linspace(0.2, 3, 64, dtype=torch.float64).reshape(-1, 1, 1, 1)
    unequal = cwda.load({"c.weight": scales * weights(9, 64, 4, 3, 3)}, name="unequal")
    found = cwda.check(unequal, ["homogeneity"], device="cpu")
    subjects = [Subject(each.networks[0], each.rows) for each in (one, found)]
    assert [each.whole.verdicts[0].verdict for each in subjects] == ["holds", "fails"]
    box, *_ = front_page(Report(subjects))
    assert box.tone == "fails"
    assert box.title == "CWDA fails in 1, holds in 1 of 2 networks"
