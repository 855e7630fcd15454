"""Tables of scores."""

import numpy as np
import pytest
import torch

from cwda.errors import CriterionError, CwdaError, SourceError, WeightsError
from cwda.scoring import Filters, gm, l1, scores
from tests.pruning.networks import network, random_layer


def test_a_network_gives_one_row_per_layer_criterion_and_filter():
    net = network(random_layer("a"), random_layer("b", filters=5))
    table = scores(net, ["l1", "gm"])
    assert list(table.columns) == ["network", "layer", "criterion", "filter", "score", "reason"]
    assert len(table) == 2 * (16 + 5)
    part = table[(table["layer"] == "b") & (table["criterion"] == "gm")]
    assert part["filter"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(part["score"], gm(Filters.of(net["b"])))


def test_a_layer_and_its_array_give_filters_by_criteria():
    layer = random_layer()
    table = scores(layer)
    assert table.shape == (16, 4)
    assert table["l1"].tolist() == l1(Filters.of(layer)).tolist()
    np.testing.assert_array_equal(scores(layer.array), table)
    np.testing.assert_array_equal(scores(torch.from_numpy(layer.array.copy())), table)


def test_a_bad_layer_keeps_its_rows_with_the_reason_and_stops_no_other():
    bad = random_layer("bad", seed=1)
    bad.weight[0, 0, 0, 0] = torch.nan
    table = scores(network(bad, random_layer("good")), ["l1", "l2"])
    of_bad = table[table["layer"] == "bad"]
    assert len(of_bad) == 32
    assert of_bad["score"].isna().all()
    assert of_bad["reason"].str.contains("1 of 576 weights are NaN").all()
    assert table.loc[table["layer"] == "good", "score"].notna().all()


def test_bad_input_is_one_line():
    layer = random_layer()
    with pytest.raises(CriterionError, match="did you mean 'l1'"):
        scores(layer, ["l1", "L1"])
    with pytest.raises(CriterionError, match="twice"):
        scores(layer, ["l1", "l1"])
    with pytest.raises(CriterionError, match="1 criteria or more"):
        scores(layer, [])
    with pytest.raises(SourceError, match="neither a known model"):
        scores("resnet20_cifar")
    with pytest.raises(SourceError, match="N x k"):
        scores(np.zeros((3, 3)))
    with pytest.raises(CwdaError, match="device"):
        scores(layer, device="warp")
    layer.weight[0] = torch.inf
    with pytest.raises(WeightsError, match="36 of 576"):
        scores(layer)


def test_a_network_without_layers_has_an_empty_table():
    assert scores(network()).empty


@pytest.mark.gpu
def test_the_gpu_agrees():
    layer = random_layer(filters=64, channels=32)
    np.testing.assert_allclose(scores(layer, device="cuda"), scores(layer, device="cpu"), 1e-10)
