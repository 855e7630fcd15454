"""What all answers of the two rooms share: level, networks, files, networks without layers."""

import numpy as np
import pandas as pd
import pytest

import cwda
from cwda.answers import columns_of
from cwda.comparison import applicability, compare, geometry, global_pruning
from cwda.layers import Network, Provenance
from cwda.theory import predict, simulate
from tests.comparison.test_similarity import network
from tests.theory.test_closed_form import draw, layer

ANSWERS = {
    "predict": lambda net, level: predict(net, level=level),
    "simulate": lambda net, level: simulate(net, ["l1", "l2"], rungs="scale", level=level),
    "compare": lambda net, level: compare(cwda.similarity(net), predict(net, level=level)),
    "geometry": lambda net, level: geometry(net, level=level),
    "applicability": lambda net, level: applicability(net, level=level),
    "global_pruning": lambda net, level: global_pruning(net, level=level),
}
TABLES = {"geometry": "statement_table", "global_pruning": "overlap_table"}
#: The limits of an interval in the table, or the second table, of each.
LIMITS = {
    "predict": ("low", "high"),
    "simulate": ("low", "high"),
    "compare": ("low", "high"),
    "geometry": ("norm_cv", "norm_cv_limit"),
    "applicability": ("swap_filters_low", "swap_filters_high"),
    "global_pruning": ("share_low", "share_high"),
}


@pytest.fixture(scope="module")
def net():
    rng = np.random.default_rng(0)
    small = layer(draw(rng, n=5), "small")
    return network(layer(draw(rng, n=24, scale=0.2), "a"), layer(draw(rng, n=16), "b"), small)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_its_level_and_comes_back_from_its_file(name, net, tmp_path):
    answer = ANSWERS[name](net, 0.95)
    assert (answer.level, answer.networks[0].name) == (0.95, net.name)
    assert all(meaning for meaning in columns_of(answer.row).values())
    path = tmp_path / "answer.json"
    answer.save(path)
    back = type(answer).load(path)
    for table in ("table", *filter(None, [TABLES.get(name)])):
        pd.testing.assert_frame_equal(getattr(back, table), getattr(answer, table))
    assert repr(back) == repr(answer)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_higher_level_makes_wider_intervals(name, net):
    low, high = LIMITS[name]
    widths = []
    for level in (0.9, 0.95):
        answer = ANSWERS[name](net, level)
        table = answer.statement_table if name == "geometry" else answer.table
        widths.append((table[high] - table[low])[table["layer"] == "a"])
    assert (widths[0] <= widths[1]).all()
    assert (widths[0] < widths[1]).any()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_network_without_layers_has_an_empty_table_that_can_be_shown(name):
    answer = ANSWERS[name](Network("empty", (), Provenance("", "array")), 0.95)
    assert len(answer) == len(answer.table) == 0
    assert "empty" in repr(answer)
