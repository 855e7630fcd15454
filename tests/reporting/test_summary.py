"""The line of the summary on one condition: counts, and where the departure is largest."""

import dataclasses

import numpy as np
import pytest
import torch

import cwda
from cwda.reporting import Items, Report, Subject, Table
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


def words(block):
    """The sentences of a list."""
    return [
        text
        if isinstance(text, str)
        else "".join(run if isinstance(run, str) else run.text for run in text)
        for text in block.items
    ]


@pytest.fixture(scope="module")
def warned():
    """Networks with near-dead filters, and with layers that have no ranking."""

    def made(name, dead):
        layers = {f"c{i}.weight": weights(i, 32, 4, 3, 3) for i in range(4)}
        layers["c1.weight"][:dead] *= 1e-4
        layers["c2.weight"] *= torch.from_numpy(np.geomspace(1, 20, 32))[:, None, None, None]
        return cwda.load(layers, name=name)

    return [made(name, dead) for name, dead in (("a", 3), ("b", 0), ("c", 5), ("d", 0))]


def what_to_do(networks):
    report = Report(
        [Subject(net, cwda.check(net, ["mean"], device="cpu").rows) for net in networks]
    )
    items = [block for block in front_page(report) if isinstance(block, Items)]
    table = next(block for block in front_page(report) if isinstance(block, Table))
    return report, next(words(block) for block in items if block.title == "What to do"), table


def test_few_networks_each_have_their_advice_on_the_first_page(warned):
    report, told, _ = what_to_do(warned[:2])
    assert len(told) == 2
    for subject, text in zip(report.subjects, told, strict=True):
        assert text.startswith(f"{subject.network.name}: ")
        assert all(sentence in text for sentence in subject.advice.short)
        unranked = [row.layer for row in subject.advice if row.advice == "no ranking"]
        assert unranked
        assert all(layer in text for layer in unranked)
    assert "Prune the 3 near-dead filters first: 3 of 32 in c1." in told[0]
    assert "near-dead" not in told[1]


def test_many_networks_are_named_where_filters_are_near_dead(warned):
    report, told, table = what_to_do(warned)
    assert "Prune the near-dead filters first in c, a; the table below counts them." in told
    assert any(text.startswith("In some layers a random choice should serve") for text in told)
    heads = [column.title for column in table.columns]
    dead = [row[heads.index("near-dead")] for row in table.rows]
    assert dead == ["3", "0", "5", "0"]
    for subject, row in zip(report.subjects, table.rows, strict=True):
        n = sum(each.advice in ("no ranking", "those apart") for each in subject.advice)
        assert row[heads.index("unranked")] == f"{n}/4"
