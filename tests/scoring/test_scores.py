"""Tables of scores."""

import numpy as np
import pytest
import torch

from cwda.errors import CriterionError, CwdaError, SourceError
from cwda.scoring import Filters, ScoresResult, scores
from cwda.scoring.norms import gm, l1
from tests.helpers.networks import network, random_layer


def test_a_network_gives_one_row_per_layer_criterion_and_filter():
    net = network(random_layer("a"), random_layer("b", filters=5))
    table = scores(net, ["l1", "gm"]).table
    assert list(table.columns) == ["network", "layer", "criterion", "filter", "score", "reason"]
    assert len(table) == 2 * (16 + 5)
    part = table[(table["layer"] == "b") & (table["criterion"] == "gm")]
    assert part["filter"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(part["score"], gm(Filters.of(net["b"])))


def test_a_layer_and_its_array_give_filters_by_criteria():
    layer = random_layer()
    wide = scores(layer).wide()
    assert wide.shape == (16, 4)
    assert wide["l1"].tolist() == l1(Filters.of(layer)).tolist()
    np.testing.assert_array_equal(scores(layer.array).wide(), wide)
    np.testing.assert_array_equal(scores(torch.from_numpy(layer.array.copy())).wide(), wide)


def test_a_bad_layer_keeps_its_rows_with_the_reason_and_stops_no_other():
    bad = random_layer("bad", seed=1)
    bad.weight[0, 0, 0, 0] = torch.nan
    found = scores(network(bad, random_layer("good")), ["l1", "l2"])
    table = found.table
    of_bad = table[table["layer"] == "bad"]
    assert len(of_bad) == 32
    assert of_bad["score"].isna().all()
    assert of_bad["reason"].str.contains("1 of 576 weights are NaN").all()
    assert table.loc[table["layer"] == "good", "score"].notna().all()
    assert found.summary()[["layers", "undefined", "filters"]].values.tolist() == [[1, 1, 16]] * 2
    assert scores(bad, ["l1"]).table["reason"].equals(of_bad["reason"].reset_index(drop=True)[:16])


def test_scores_survive_their_file_and_show_the_lowest(tmp_path):
    found = scores(network(random_layer("a"), random_layer("b", seed=1)), [l1, "gm"])
    assert found.criteria == ("l1", "gm")
    found.save(tmp_path / "scores.json")
    again = ScoresResult.load(tmp_path / "scores.json")
    assert again.table.equals(found.table)
    assert again.wide("b").equals(found.wide(1))
    row = found.summary().iloc[0]
    assert (
        row["lowest"]
        == found.wide(row["layer"])["l1"][row["filter"]]
        == found.table.loc[found.table["criterion"] == "l1", "score"].min()
    )
    assert "scores of net by l1, gm" in repr(found)


def test_bad_input_is_one_line():
    layer = random_layer()
    with pytest.raises(CriterionError, match="did you mean 'l1'"):
        scores(layer, ["l1", "L1"])
    with pytest.raises(CriterionError, match="1 criteria or more"):
        scores(layer, [])
    with pytest.raises(SourceError, match="neither a known model"):
        scores("resnet20_cifar")
    with pytest.raises(SourceError, match="N x k"):
        scores(np.zeros((3, 3)))
    with pytest.raises(CwdaError, match="device"):
        scores(layer, device="warp")


def test_a_named_source_is_read_once(monkeypatch):
    monkeypatch.setattr("cwda.scoring.preparation.network_of", None)  # would read it again
    found = scores("resnet20-cifar10", ["l1", "bn_gamma"])
    assert found.networks[0].name == "resnet20-cifar10"
    assert found.table["reason"].eq("").all()


def test_a_network_without_layers_has_an_empty_table():
    found = scores(network())
    assert found.table.empty
    assert found.summary().empty


@pytest.mark.gpu
def test_the_gpu_agrees():
    layer = random_layer(filters=64, channels=32)
    np.testing.assert_allclose(
        scores(layer, device="cuda").wide(), scores(layer, device="cpu").wide(), 1e-10
    )
