"""Measured similarity: coefficients, reasons, and what is known of real networks."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.errors import CriterionError, CwdaError, SelectionError
from cwda.scoring import SimilarityResult, scores, similarity
from cwda.scoring.norms import gm, l1
from tests.helpers.networks import layer_of, network, random_layer


def test_rows_equal_scipy_on_the_scores():
    net = network(random_layer("a", filters=32), random_layer("b", filters=20, seed=1))
    table = similarity(net).table
    assert len(table) == 2 * 6
    for row in table.itertuples():
        wide = scores(net[row.layer]).wide()
        a, b = wide[row.criterion_a], wide[row.criterion_b]
        assert row.spearman == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
        assert row.kendall == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
        count = len(a) // 2
        one, two = set(a.nsmallest(count).index), set(b.nsmallest(count).index)
        assert row.overlap_50 == pytest.approx(len(one & two) / len(one | two))
        assert row.spearman_low < row.spearman < row.spearman_high
        assert (row.n_filters, row.dim, row.reason) == (len(a), 36, "")


def test_columns_follow_the_ratios():
    table = similarity(random_layer(), ["l1", "l2"], ratios=[0.25, 0.125]).table
    assert [name for name in table.columns if name.startswith("overlap")] == [
        "overlap_25",
        "overlap_12.5",
    ]


def test_views_hold_the_table_s_numbers():
    net = network(random_layer("b"), random_layer("a", seed=1))
    sim = similarity(net, ["l1", "l2", "gm"])
    assert list(sim.wide().index) == ["b", "a"]
    assert list(sim.wide().columns) == ["l1-l2", "l1-gm", "l2-gm"]
    matrix = sim.matrix("a")
    assert matrix.loc["gm", "l1"] == matrix.loc["l1", "gm"] == sim.wide().loc["a", "l1-gm"]
    assert np.diag(matrix).tolist() == [1, 1, 1]
    assert sim.matrix(1, "kendall").loc["l1", "l2"] == sim.wide("kendall").loc["a", "l1-l2"]
    with pytest.raises(CwdaError, match="did you mean"):
        sim.matrix("aa")


def test_summary_names_the_lowest_layer():
    far = layer_of([[10.0, 0, 0], [6, 6, 0], [5, 5, 5], [1, 1, 1]], "far")  # l1 against l2
    near = layer_of([[1.0, 0, 0], [2, 0, 0], [3, 0, 0], [4, 1, 1]], "near")
    summary = similarity(network(far, near), ["l1", "l2"]).summary()
    row = summary.iloc[0]
    assert (row["layers"], row["undefined"], row["lowest_layer"]) == (2, 0, "far")
    assert row["share_above_90"] == 0.5
    assert row["minimum"] == pytest.approx(0.4)  # ranks 2 3 4 1 against 4 2 3 1
    assert row["median"] == pytest.approx(0.7)


def test_what_is_undefined_is_nan_with_the_reason():
    bad = random_layer("nan")
    bad.weight[0, 0, 0, 0] = torch.nan
    unit = layer_of([[1.0, 0], [0, 1], [0.6, 0.8], [0.8, -0.6]], "unit")
    net = network(
        random_layer("one", filters=1),
        random_layer("two", filters=2),
        random_layer("three", filters=3),
        bad,
        unit,
        random_layer("good"),
    )
    sim = similarity(net, ["l1", "l2"])
    rows = sim.table.set_index("layer")
    assert rows.loc["one", "reason"] == "1 filter; 3 are needed"
    assert rows.loc["two", "reason"] == "2 filters; 3 are needed"
    assert rows.loc["three", "reason"].startswith("no interval from 3 filters; 10%, 30% of 3")
    assert math.isnan(rows.loc["three", "spearman_low"])
    assert not math.isnan(rows.loc["three", "spearman"])
    assert "NaN or infinite" in rows.loc["nan", "reason"]
    assert rows.loc["unit", "reason"] == "all 4 scores of l2 are equal"
    assert rows.loc["good", "reason"] == ""
    assert rows["spearman"].isna().tolist() == [True, True, False, True, True, False]
    assert sim.summary()["undefined"].tolist() == [4]
    assert sim.matrix("one").isna().all(axis=None)


def test_a_network_in_which_nothing_can_be_ranked_has_a_summary():
    summary = similarity(random_layer(filters=1)).summary()
    assert summary["undefined"].tolist() == [1] * 6
    assert summary["median"].isna().all()
    assert similarity(network()).summary().empty


def test_only_the_pairs_of_a_bad_criterion_are_undefined():
    unit = layer_of([[1.0, 0], [0, 1], [0.6, 0.8], [0.8, -0.6]], "unit")
    table = similarity(unit).table.set_index(["criterion_a", "criterion_b"])
    assert math.isnan(table.loc[("l1", "l2"), "spearman"])
    assert not math.isnan(table.loc[("l1", "gm"), "spearman"])


def test_bad_questions_are_refused():
    layer = random_layer()
    with pytest.raises(CriterionError, match="2 criteria or more are needed, not 1"):
        similarity(layer, ["l1"])
    with pytest.raises(CriterionError, match="2 criteria"):
        similarity(layer, "l1")
    with pytest.raises(SelectionError, match=r"between 0 and 1 \(exclusive\), not 1\.5$"):
        similarity(layer, ratios=[1.5])
    with pytest.raises(SelectionError, match="confidence level lies between 0 and 1"):
        similarity(layer, level=1)


def test_html_and_text_escape_and_count():
    sim = similarity(random_layer("a<i>"), ["l1", "l2"])
    assert sim._repr_html_().count("a&lt;i&gt;") == 2  # network, lowest layer
    assert "<i>" not in sim._repr_html_()
    assert "(l1, l2); .table has 1 row" in repr(sim)


def test_the_level_is_the_confidence_and_an_answer_survives_its_file(tmp_path):
    layer = random_layer(filters=32)
    wide, narrow = (similarity(layer, ["l1", "l2"], level=level) for level in (0.99, 0.9))
    assert wide.table["spearman_low"][0] < narrow.table["spearman_low"][0]
    assert narrow.level == 0.9
    narrow.save(tmp_path / "sim.json")
    again = SimilarityResult.load(tmp_path / "sim.json")
    assert again.table.equals(narrow.table)
    assert again.matrix().equals(narrow.matrix())


def test_criteria_are_named_or_given_as_such():
    layer = random_layer()
    assert similarity(layer, [l1, "gm"]).table.equals(similarity(layer, ["l1", gm]).table)


def test_medians_of_resnet56(resnet56):
    # medians over the layers, measured independently by plain numpy and scipy
    expected = {"l1-l2": 0.985, "l1-gm": 0.974, "l1-fermat": 0.976}
    expected |= {"l2-gm": 0.989, "l2-fermat": 0.993}
    medians = similarity(resnet56).wide().median()
    for pair, value in expected.items():
        assert medians[pair] == pytest.approx(value, abs=0.001), pair


def test_gm_and_fermat_nearly_coincide_in_resnet56(resnet56):
    assert similarity(resnet56, ["gm", "fermat"]).table["spearman"].min() > 0.97
